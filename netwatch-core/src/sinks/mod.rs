//! Sinks that come with the library: the three text files of the data directory, a contract that scripts rely on.
//!
//! * `server_status.txt`: one line a target in configuration order, replaced as a whole.
//! * `mail_log.txt`: one line for each attempt to deliver a mail.
//! * `error_log.txt`: one line for whatever a person should look into.
//!
//! Fields are separated by tabs and escaped, so that one line is one record whatever a device is called.

mod dater;
mod line;
mod log_file;
mod pace;
mod status_file;
mod text_files;
mod writer;

pub use text_files::TextFiles;
