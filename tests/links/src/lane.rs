//! One direction of a link: packets pass one after another at its rate.

/// How long a packet may wait for those before it, in nanoseconds; then it is dropped.
const QUEUE_NS: u64 = 100_000_000;

/// When the lane is free again, in nanoseconds of the wire's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lane {
    free_ns: u64,
}

impl Lane {
    /// When a packet that comes now has passed; nothing if the queue is full.
    pub(crate) fn pass(&mut self, now_ns: u64, bytes: usize, rate_mbit: u64) -> Option<u64> {
        let start_ns = self.free_ns.max(now_ns);
        if start_ns - now_ns > QUEUE_NS {
            return None;
        }
        // A megabit a second is a bit in a thousand nanoseconds.
        let takes_ns = (bytes as u64 * 8 * 1_000).checked_div(rate_mbit);
        self.free_ns = start_ns + takes_ns.unwrap_or(0);
        Some(self.free_ns)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn packets_pass_at_the_rate_and_wait_for_one_another() {
        let mut lane = Lane::default();
        // 1 250 bytes are 10 000 bits, which take 100 µs at 100 Mb/s.
        assert_eq!(lane.pass(5, 1_250, 100), Some(100_005));
        assert_eq!(lane.pass(10, 1_250, 100), Some(200_005));
        assert_eq!(lane.pass(1_000_000, 1_250, 100), Some(1_100_000));
    }

    #[test]
    fn a_full_queue_drops_and_drains() {
        let mut lane = Lane::default();
        let taken = (0..2_000).filter(|_| lane.pass(0, 1_250, 100).is_some());
        // A thousand wait for up to 100 ms, and the one that is on its way.
        assert_eq!(taken.count(), 1_001);
        assert!(lane.pass(QUEUE_NS, 1_250, 100).is_some());
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut lane = Lane::default();
        assert_eq!(lane.pass(7, 1 << 20, 0), Some(7));
        assert_eq!(lane.pass(7, 1 << 20, 0), Some(7));
    }
}
