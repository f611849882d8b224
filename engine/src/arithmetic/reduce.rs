//! Reductions in one fixed order: 16 strided lanes, then a tree.
//!
//! Element `i` belongs to lane `i mod 16`; a lane is a left fold from +0 over ascending `i`; then
//! lane `j` takes in lane `j + 8`, `j + 4`, `j + 2`, `j + 1`. Trailing zeros do not change a sum of
//! non-negative terms, which is why padded rows may be summed whole.
//!
//! Spec: arithmetic §2

/// The number of strided lanes.
pub(crate) const LANES: usize = 16;

/// Lane `j` takes in lane `j + 8`, `j + 4`, `j + 2`, `j + 1`.
#[inline(always)]
pub(crate) fn tree<T: Copy>(lanes: [T; LANES], join: impl Fn(T, T) -> T) -> T {
    // An array for each width: each step is then one vector operation.
    let eight: [T; 8] = std::array::from_fn(|j| join(lanes[j], lanes[j + 8]));
    let four: [T; 4] = std::array::from_fn(|j| join(eight[j], eight[j + 4]));
    let two: [T; 2] = std::array::from_fn(|j| join(four[j], four[j + 2]));
    join(two[0], two[1])
}

macro_rules! reduction {
    (
        $(#[$meta:meta])*
        $name:ident, ($($arg:ident),+), $float:ty, |$acc:ident, $($x:ident),+| $step:expr
    ) => {
        $(#[$meta])*
        #[inline(always)]
        pub(crate) fn $name($($arg: &[f32]),+) -> $float {
            let mut lanes = [0.0; LANES];
            let length = [$($arg.len()),+].into_iter().min().unwrap_or(0);
            $(let $arg = &$arg[..length];)+
            let body = length - length % LANES;
            let mut base = 0;
            while base < body {
                $(let $x = &$arg[base..base + LANES];)+
                for lane in 0..LANES {
                    let $acc = lanes[lane];
                    $(let $x = $x[lane];)+
                    lanes[lane] = $step;
                }
                base += LANES;
            }
            for index in body..length {
                let $acc = lanes[index - body];
                $(let $x = $arg[index];)+
                lanes[index - body] = $step;
            }
            tree(lanes, |a, b| a + b)
        }
    };
}

#[cfg(test)]
reduction!(
    /// The sum of `x`: the definition that the kernels, which add while they compute, must equal.
    sum, (x), f32, |acc, v| acc + v
);
reduction!(
    /// The dot product of `x` and `y`, each lane a fold of fma.
    dot, (x, y), f32, |acc, v, w| v.mul_add(w, acc)
);
reduction!(
    /// The dot product of `x w`, rounded, and `y`.
    dot_weighted, (x, w, y), f32, |acc, v, w, u| (v * w).mul_add(u, acc)
);
reduction!(
    /// The sum of squares of `x`, in f64.
    sum_of_squares_wide, (x), f64, |acc, v| f64::from(v).mul_add(f64::from(v), acc)
);

/// The largest element, `-inf` for none. Order does not matter for a maximum of numbers.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for chunk in whole {
        larger_lanes(&mut lanes, chunk);
    }
    for (lane, &v) in lanes.iter_mut().zip(rest) {
        *lane = if v > *lane { v } else { *lane };
    }
    max_of_lanes(lanes)
}

/// Each lane becomes the larger of itself and a new value.
#[inline(always)]
pub(crate) fn larger_lanes(lanes: &mut [f32; LANES], chunk: &[f32; LANES]) {
    for (lane, &v) in lanes.iter_mut().zip(chunk) {
        *lane = if v > *lane { v } else { *lane };
    }
}

/// The largest of all lanes.
#[inline(always)]
pub(crate) fn max_of_lanes(lanes: [f32; LANES]) -> f32 {
    let larger = |a, b| if b > a { b } else { a };
    let largest = tree(lanes, larger);
    if largest == 0.0 {
        // Among zeros of both signs the first lane's is taken.
        return lanes.into_iter().fold(f32::NEG_INFINITY, larger);
    }
    largest
}
