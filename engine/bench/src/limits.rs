//! The machine's own limits: multiply-adds a second of one core, bytes a second of memory.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of operations and bytes become rates"
)]

use crate::workload::rate;
use anyhow::Result;
use std::hint::black_box;

/// Independent accumulators: more than the four cycles of two units need.
const CHAINS: usize = 12;
/// Steps of one measurement.
const STEPS: usize = 1 << 24;

/// A kernel and the lanes of its vectors.
type Kernel = (fn(f32) -> f32, usize);

/// Operations a second (a multiply-add is two) of one core that touches registers only.
pub(crate) fn fma(seconds: f64) -> Result<(f64, f64)> {
    let (kernel, lanes) = kernel();
    let count = 2 * CHAINS * STEPS * lanes;
    rate(count as f64, seconds.min(1.0), || {
        black_box(kernel(black_box(0.999_999)));
        Ok(())
    })
}

#[cfg(target_arch = "x86_64")]
macro_rules! chains {
    ($name:ident, $feature:literal, $splat:ident, $fma:ident, $first:ident) => {
        #[target_feature(enable = $feature)]
        fn $name(factor: f32) -> f32 {
            use std::arch::x86_64::{$first, $fma, $splat};
            let factor = $splat(factor);
            let mut sums = [factor; CHAINS];
            for _ in 0..STEPS {
                for sum in &mut sums {
                    *sum = $fma(factor, *sum, factor);
                }
            }
            sums.map(|sum| $first(sum)).iter().sum()
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CHAINS, Kernel, STEPS};
    chains!(
        avx512,
        "avx512f",
        _mm512_set1_ps,
        _mm512_fmadd_ps,
        _mm512_cvtss_f32
    );
    chains!(
        avx2,
        "avx2,fma",
        _mm256_set1_ps,
        _mm256_fmadd_ps,
        _mm256_cvtss_f32
    );

    #[expect(unsafe_code, reason = "the features were detected")]
    pub(super) fn kernel() -> Option<Kernel> {
        let fma = is_x86_feature_detected!("fma");
        if fma && is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the feature.
            Some((|factor| unsafe { avx512(factor) }, 16))
        } else if fma && is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the features.
            Some((|factor| unsafe { avx2(factor) }, 8))
        } else {
            None
        }
    }
}

/// The widest kernel of this machine and its lanes.
fn kernel() -> Kernel {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = x86::kernel() {
        return kernel;
    }
    (portable, 1)
}

fn portable(factor: f32) -> f32 {
    let mut sums = [factor; CHAINS];
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = factor.mul_add(*sum, factor);
        }
    }
    sums.iter().sum()
}

/// Bytes a second of `a = b + s c` by one core over arrays four times the largest cache.
pub(crate) fn bandwidth(seconds: f64) -> Result<(f64, f64)> {
    let length = (4 * cache_bytes() / 3).clamp(64 << 20, 1 << 30) / 4;
    let (b, c) = (vec![1.0_f32; length], vec![2.0_f32; length]);
    let mut a = vec![0.0_f32; length];
    // The written line is read first, as ordinary stores do: four accesses.
    rate((4 * 4 * length) as f64, seconds, || {
        for ((a, &b), &c) in a.iter_mut().zip(&b).zip(&c) {
            *a = b + 0.5 * c;
        }
        black_box(a.as_mut_ptr());
        Ok(())
    })
}

/// Size of the largest cache, where the system tells (Linux), else 64 MiB.
pub(crate) fn cache_bytes() -> usize {
    let read = |index: usize| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size");
        let text = std::fs::read_to_string(path).ok()?;
        text.trim().strip_suffix('K')?.parse::<usize>().ok()
    };
    (0..8)
        .filter_map(read)
        .max()
        .map_or(64 << 20, |kib| kib << 10)
}
