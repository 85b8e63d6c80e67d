//! The failing disk as a virtual file system of SQLite (<https://sqlite.org/vfs.html>): a table of C functions that ask
//! what is to happen and hand the rest to the real one.
//!
//! This is the only unsafe code of the tests: SQLite is C, and calls back.

#![allow(unsafe_code, reason = "SQLite calls these functions through pointers")]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};

use super::{Call, Fate, SECTOR, with};

/// What SQLite gives us room for: this, and right behind it the file of the real file system.
#[repr(C)]
struct File {
    base: sqlite3_file,
    /// Made in `open`, dropped in `close`; null for a temporary file.
    path: *mut PathBuf,
}

/// Makes the failing disk the default of this process.
pub(super) fn register() {
    // SAFETY: the real one is registered by SQLite's own initialisation and lives as long as the process; ours is leaked
    // and does so too. Every function of the copy that is not replaced takes what it needs from its arguments.
    let result = unsafe {
        assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK, "SQLite can be initialised");
        let real = ffi::sqlite3_vfs_find(ptr::null());
        assert!(!real.is_null(), "SQLite has a default file system");
        let mut ours = *real;
        ours.szOsFile += c_int::try_from(size_of::<File>()).expect("a small number");
        ours.zName = c"netwatch-failing-disk".as_ptr();
        ours.pNext = ptr::null_mut();
        ours.pAppData = real.cast();
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        ffi::sqlite3_vfs_register(Box::into_raw(Box::new(ours)), 1)
    };
    assert_eq!(result, ffi::SQLITE_OK, "the failing disk can be registered");
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The file of the real file system behind ours.
///
/// # Safety
/// `file` points to what `open` was given.
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: szOsFile is our size and then that of the real one, so it begins one `File` further, aligned as that.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// The real methods of that file.
///
/// # Safety
/// As for [`real`], and the file was opened.
unsafe fn methods<'a>(file: *mut sqlite3_file) -> &'a sqlite3_io_methods {
    // SAFETY: an open file of the real file system has its methods, which are static.
    unsafe { &*(*real(file)).pMethods }
}

/// What is to become of a call, and the file's name.
///
/// # Safety
/// `file` was opened by us.
unsafe fn fate<'a>(call: Call, file: *mut sqlite3_file) -> (Fate, Option<&'a Path>) {
    // SAFETY: `open` put a pointer there that is null or lives until `close`, after which SQLite does not call again.
    let path = unsafe { (*file.cast::<File>()).path.as_ref() };
    match path {
        Some(path) => (with(|state| state.fate(call, path)), Some(path)),
        None => (Fate::Done, None),
    }
}

/// A name that SQLite gave.
///
/// # Safety
/// `name` is null or a C string.
unsafe fn named(name: *const c_char) -> Option<PathBuf> {
    // SAFETY: see above.
    (!name.is_null()).then(|| PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes())))
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives a file of szOsFile bytes, and a name that lives as long as the file.
    unsafe {
        (*file).pMethods = ptr::null();
        let path = named(name);
        if path.as_ref().is_some_and(|path| with(|state| state.fate(Call::Open, path)) != Fate::Done) {
            return ffi::SQLITE_CANTOPEN;
        }
        let below: *mut sqlite3_vfs = (*vfs).pAppData.cast();
        let opened = ((*below).xOpen.expect("a file system opens"))(below, name, real(file), flags, out);
        if opened != ffi::SQLITE_OK {
            return opened;
        }
        if let Some(path) = &path {
            with(|state| state.opened(path, std::fs::read(path).unwrap_or_default()));
        }
        (*file.cast::<File>()).path = path.map_or(ptr::null_mut(), |path| Box::into_raw(Box::new(path)));
        (*file).pMethods = &METHODS;
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: SQLite gives its own file system and a C string.
    unsafe {
        let path = named(name).unwrap_or_default();
        if with(|state| state.fate(Call::Delete, &path)) != Fate::Done {
            return ffi::SQLITE_IOERR_DELETE;
        }
        let below: *mut sqlite3_vfs = (*vfs).pAppData.cast();
        let deleted = ((*below).xDelete.expect("a file system deletes"))(below, name, sync_dir);
        if deleted == ffi::SQLITE_OK {
            with(|state| state.deleted(&path));
        }
        deleted
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: the file was opened; its name is dropped once, because SQLite closes once.
    unsafe {
        let path = (*file.cast::<File>()).path;
        if !path.is_null() {
            drop(Box::from_raw(path));
        }
        (methods(file).xClose.expect("a file closes"))(real(file))
    }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, amount: c_int, at: i64) -> c_int {
    // SAFETY: the arguments are SQLite's and go on as they are.
    unsafe {
        match fate(Call::Read, file).0 {
            Fate::Done => (methods(file).xRead.expect("a file is read"))(real(file), to, amount, at),
            _ => ffi::SQLITE_IOERR_READ,
        }
    }
}

/// Writes these bytes to the real file, and into the picture of it.
///
/// # Safety
/// `file` was opened by us.
unsafe fn put(file: *mut sqlite3_file, path: Option<&Path>, bytes: &[u8], at: usize) -> c_int {
    let (Ok(amount), Ok(place)) = (c_int::try_from(bytes.len()), i64::try_from(at)) else { return ffi::SQLITE_IOERR };
    // SAFETY: the bytes live during the call.
    let written =
        unsafe { (methods(file).xWrite.expect("a file is written"))(real(file), bytes.as_ptr().cast(), amount, place) };
    if let (Some(path), ffi::SQLITE_OK) = (path, written) {
        with(|state| state.image(path).write(at, bytes));
    }
    written
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, amount: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives `amount` bytes at `from`, and a file that we opened.
    unsafe {
        let (Ok(length), Ok(at)) = (usize::try_from(amount), usize::try_from(at)) else { return ffi::SQLITE_IOERR };
        let bytes = std::slice::from_raw_parts(from.cast::<u8>(), length);
        let (fate, path) = fate(Call::Write, file);
        match fate {
            Fate::Done | Fate::Ignored => put(file, path, bytes, at),
            Fate::Error | Fate::Dark => ffi::SQLITE_IOERR_WRITE,
            Fate::Full => ffi::SQLITE_FULL,
            Fate::Short { full } => {
                let cut = with(|state| state.rng.usize(0..=length));
                put(file, path, &bytes[..cut], at);
                if full { ffi::SQLITE_FULL } else { ffi::SQLITE_IOERR_WRITE }
            }
            Fate::Torn => {
                for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                    if with(|state| state.rng.bool()) {
                        put(file, path, sector, at + n * SECTOR);
                    }
                }
                ffi::SQLITE_IOERR_WRITE
            }
        }
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    // SAFETY: the arguments are SQLite's and go on as they are.
    unsafe {
        let (fate, path) = fate(Call::Truncate, file);
        if fate != Fate::Done {
            return ffi::SQLITE_IOERR_TRUNCATE;
        }
        let done = (methods(file).xTruncate.expect("a file is truncated"))(real(file), size);
        if let (Some(path), ffi::SQLITE_OK) = (path, done) {
            with(|state| state.image(path).truncate(usize::try_from(size).unwrap_or(0)));
        }
        done
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the arguments are SQLite's and go on as they are.
    unsafe {
        match fate(Call::Sync, file) {
            (Fate::Ignored, _) => ffi::SQLITE_OK,
            // What a power cut leaves is known without the real disk, which has others to serve.
            (Fate::Done, Some(path)) => {
                with(|state| state.synced(path));
                ffi::SQLITE_OK
            }
            (Fate::Done, None) => (methods(file).xSync.expect("a file is synced"))(real(file), flags),
            (Fate::Error, Some(path)) => {
                let forgotten = with(|state| {
                    let mut rng = state.rng.fork();
                    state.image(path).forget_some(&mut rng)
                });
                for (at, old) in forgotten {
                    put(file, None, &old, at);
                }
                ffi::SQLITE_IOERR_FSYNC
            }
            _ => ffi::SQLITE_IOERR_FSYNC,
        }
    }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: the arguments are SQLite's and go on as they are.
    unsafe { (methods(file).xFileSize.expect("a file has a size"))(real(file), size) }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: the arguments are SQLite's and go on as they are.
    unsafe { (methods(file).xLock.expect("a file is locked"))(real(file), level) }
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: the arguments are SQLite's and go on as they are.
    unsafe { (methods(file).xUnlock.expect("a file is unlocked"))(real(file), level) }
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: the arguments are SQLite's and go on as they are.
    unsafe { (methods(file).xCheckReservedLock.expect("a lock is looked at"))(real(file), out) }
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, op: c_int, arg: *mut c_void) -> c_int {
    // SAFETY: the arguments are SQLite's and go on as they are.
    unsafe { (methods(file).xFileControl.expect("a file is controlled"))(real(file), op, arg) }
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    // SAFETY: the argument is SQLite's and goes on as it is.
    unsafe { (methods(file).xSectorSize.expect("a disk has sectors"))(real(file)) }
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    // SAFETY: the argument is SQLite's and goes on as it is.
    unsafe { (methods(file).xDeviceCharacteristics.expect("a disk has characteristics"))(real(file)) }
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: the arguments are SQLite's and go on as they are.
    unsafe {
        match fate(Call::Shm, file).0 {
            Fate::Done => (methods(file).xShmMap.expect("a log has an index"))(real(file), page, size, extend, out),
            _ => ffi::SQLITE_IOERR_SHMMAP,
        }
    }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    // SAFETY: the arguments are SQLite's and go on as they are.
    unsafe { (methods(file).xShmLock.expect("an index is locked"))(real(file), offset, n, flags) }
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: the argument is SQLite's and goes on as it is.
    unsafe { (methods(file).xShmBarrier.expect("an index has a barrier"))(real(file)) }
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: the arguments are SQLite's and go on as they are.
    unsafe { (methods(file).xShmUnmap.expect("an index is let go"))(real(file), delete) }
}
