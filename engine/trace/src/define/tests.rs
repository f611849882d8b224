//! Lanes.

use super::*;

#[test]
fn the_lanes_of_a_reduction_take_in_every_element_once() {
    for length in [0, 1, 15, 16, 17, 31, 32, 33, 100] {
        let all: u64 = (0..LANES).map(|lane| lane_length(length, lane)).sum();
        assert_eq!(all, length);
        for lane in 0..LANES {
            let taken = (0..lane_length(length, lane)).map(|k| lane + k * LANES);
            assert!(
                taken.clone().all(|element| element < length),
                "{length} {lane}"
            );
        }
    }
}
