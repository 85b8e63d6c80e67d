//! Whether the kernel's receive buffer is large enough for the plan, and what to type if it is not.

/// What a waiting reply takes of the buffer, in bytes: its own and the kernel's.
const REPLY: f64 = 832.0;
/// The engine wants room for the replies of half a second; with less than half of that, a busy machine loses some.
const LEAST_SECONDS: f64 = 0.25;
/// The setting that limits it.
const LIMIT: &str = "/proc/sys/net/core/rmem_max";

/// What to do about a buffer of `granted` bytes where `wanted` were asked for, for a plan of so many echoes a second;
/// `None` if it will do.
pub(crate) fn advice(echoes_per_second: f64, granted: usize, wanted: usize) -> Option<String> {
    let seconds = granted as f64 / REPLY / echoes_per_second;
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

/// The largest buffer that a program without `CAP_NET_ADMIN` can have, in bytes (socket(7)).
pub(crate) fn largest() -> Option<usize> {
    let limit: usize = std::fs::read_to_string(LIMIT).ok()?.trim().parse().ok()?;
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
    fn the_limit_that_we_ship_is_enough_for_a_million_devices() {
        let shipped = include_str!("../packaging/sysctl.d/60-netwatch.conf");
        let limit = shipped.lines().find_map(|line| line.strip_prefix("net.core.rmem_max = ")).unwrap();
        let wanted = netwatch_core::IcmpOptions::default().with_planned_rate(500_000.0).receive_buffer;
        assert!(limit.parse::<usize>().unwrap() * 2 >= wanted);
    }
}
