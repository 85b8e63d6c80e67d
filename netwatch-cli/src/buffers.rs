//! Whether the kernel's buffers are large enough for the plan, and what to type if they are not.

/// What a waiting packet takes of a buffer, in bytes: its own and the kernel's.
const PACKET: usize = 832;
/// So many echoes to a device on the machine's own link wait at most until the kernel gives up looking for it.
const WAITING: usize = 3;
/// The engine wants room for the replies of half a second; with less than half of that, a busy machine loses some.
const LEAST_SECONDS: f64 = 0.25;
/// The settings that limit them.
const LIMIT: &str = "/proc/sys/net/core/rmem_max";
const SEND_LIMIT: &str = "/proc/sys/net/core/wmem_max";

/// What to do about a buffer of `granted` bytes where `wanted` were asked for, for a plan of so many echoes a second;
/// `None` if it will do.
pub(crate) fn advice(echoes_per_second: f64, granted: usize, wanted: usize) -> Option<String> {
    let seconds = granted as f64 / PACKET as f64 / echoes_per_second;
    if granted >= wanted || seconds >= LEAST_SECONDS {
        return None;
    }
    Some(format!(
        "the kernel's receive buffer is {} KiB, and {:.0} echoes a second fill it in {:.0} ms: whatever is answered while \
         netwatch is kept from running for longer is UNKNOWN. Allow more, as root: sysctl -w net.core.rmem_max={} \
         (or give netwatch CAP_NET_ADMIN)",
        granted >> 10,
        echoes_per_second,
        seconds * 1000.0,
        // The kernel doubles what a program asks for.
        wanted.div_ceil(2)
    ))
}

/// What to do about a send buffer of `granted` bytes where `wanted` were asked for, for a plan of so many devices; `None` if
/// it will do even where all of them are on the machine's own links and die together.
pub(crate) fn send_advice(devices: usize, granted: usize, wanted: usize) -> Option<String> {
    let bears = granted / PACKET / WAITING;
    if granted >= wanted || bears >= devices {
        return None;
    }
    Some(format!(
        "the kernel's send buffer is {} KiB: if {bears} devices or more on this machine's own links (not behind a router) die \
         together, echoes that wait for them fill it, and all others are UNKNOWN. Allow more, as root: \
         sysctl -w net.core.wmem_max={} (or give netwatch CAP_NET_ADMIN)",
        granted >> 10,
        wanted.div_ceil(2)
    ))
}

/// The largest receive buffer that a program without `CAP_NET_ADMIN` can have, in bytes (socket(7)).
pub(crate) fn largest() -> Option<usize> {
    limit(LIMIT)
}

/// The same of the send buffer.
pub(crate) fn largest_send() -> Option<usize> {
    limit(SEND_LIMIT)
}

fn limit(path: &str) -> Option<usize> {
    let limit: usize = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    Some(limit.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_buffer_that_is_much_too_small_for_the_plan_is_told_of() {
        assert_eq!(advice(50.0, 425_984, 1 << 20), None, "ten seconds of a small plan");
        assert_eq!(advice(50_000.0, 20_800_000, 20_800_000), None);
        assert_eq!(advice(50_000.0, 16_000_000, 20_800_000), None, "somewhat less will do");
        let advice = advice(50_000.0, 425_984, 20_800_000).unwrap();
        assert!(advice.contains("sysctl -w net.core.rmem_max=10400000") && advice.contains("416 KiB"), "{advice}");
        assert!(advice.contains("in 10 ms"), "{advice}");
    }

    #[test]
    fn a_send_buffer_is_told_of_where_a_dead_segment_would_fill_it() {
        let wanted = netwatch_core::IcmpOptions::default().send_buffer;
        assert_eq!(send_advice(170, 425_984, wanted), None);
        assert_eq!(send_advice(1_000_000, wanted, wanted), None);
        let advice = send_advice(171, 425_984, wanted).unwrap();
        assert!(advice.contains("if 170 devices") && advice.contains("net.core.wmem_max=4194304"), "{advice}");
        let shipped = include_str!("../packaging/sysctl.d/60-netwatch.conf");
        assert!(shipped.contains("net.core.wmem_max = 4194304\n"), "that is what we ship");
    }

    #[test]
    fn the_limit_that_we_ship_is_enough_for_a_million_devices() {
        let shipped = include_str!("../packaging/sysctl.d/60-netwatch.conf");
        let limit = shipped.lines().find_map(|line| line.strip_prefix("net.core.rmem_max = ")).unwrap();
        let wanted = netwatch_core::IcmpOptions::default().with_planned_rate(500_000.0).receive_buffer;
        assert!(limit.parse::<usize>().unwrap() * 2 >= wanted);
    }
}
