//! The wall clock of this process, set by a test: the machine's own stays as it is.

use std::time::Duration;

/// Sets the wall clock forward by `by` as this whole process sees it, from now on, in everything that netwatch reads of it: the
/// runtime's time and the kernel's stamps of packets. It adds up, and stays until it is set [back](set_wall_clock_back).
pub fn set_wall_clock_forward(by: Duration) {
    shift(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX));
}

/// Sets the wall clock back by `by`, as [`set_wall_clock_forward`] sets it forward.
pub fn set_wall_clock_back(by: Duration) {
    shift(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX).saturating_neg());
}

#[cfg_attr(not(any(feature = "icmp", feature = "runtime")), expect(unused_variables, reason = "nothing reads a clock"))]
fn shift(by: i64) {
    #[cfg(feature = "icmp")]
    crate::icmp::clock::seam::shift(by);
    #[cfg(feature = "runtime")]
    crate::runtime::clock::SHIFT.fetch_add(by, std::sync::atomic::Ordering::Relaxed);
}
