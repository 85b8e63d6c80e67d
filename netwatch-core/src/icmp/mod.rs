//! The ICMP engine: one thread asks every device, and never invents a loss.
