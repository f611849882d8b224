//! exp, log, sin and cos from fused multiply-adds and IEEE operations only.
//!
//! No libm: its results differ between versions and vendors. Each function is a range reduction
//! and a polynomial in Horner form, so a GPU or another language repeats it bit for bit.
//! The f32 functions are branch-free and vectorise; the f64 functions of [`wide`] fill tables.
//!
//! Spec: arithmetic §3

#![expect(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    clippy::excessive_precision,
    clippy::approx_constant,
    reason = "exponent fields are moved between f32, u32 and i32 bit patterns; the split \
              constants are written as published"
)]

/// `log2(e)`.
const LOG2_E: f32 = 1.442_695_040_888_963_4;
/// High part of `ln 2`: 10 significant bits, so `n * LN2_HI` is exact.
const LN2_HI: f32 = 0.693_359_375;
/// `ln 2 - LN2_HI`.
const LN2_LO: f32 = -2.121_944_4e-4;
/// `1.5 * 2^23`: adding it rounds to the nearest integer, ties to even.
const ROUND: f32 = 12_582_912.0;
/// Below this, exp is 0: no result is subnormal, which would be slow and is never needed.
const EXP_ARGUMENT_MIN: f32 = -87.0;
/// Above this, exp is infinite.
const EXP_ARGUMENT_MAX: f32 = 88.722_83;

/// `e^x`; 0 below -87, infinite above 88.72283, NaN for NaN.
///
/// `x = n ln 2 + r`, `|r| <= ln 2 / 2`; `e^x = 2^n (1 + r + r² p(r))`. Between the limits the
/// power of two is an addition to the exponent, since neither factor nor result is subnormal or
/// infinite; where the result would be, it is chosen at the end.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    let shifted = x.mul_add(LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_HI, x);
    let r = n.mul_add(-LN2_LO, r);
    let p = 1.987_569_15e-4_f32;
    let p = p.mul_add(r, 1.398_199_95e-3);
    let p = p.mul_add(r, 8.333_451_9e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_55e-1);
    let p = p.mul_add(r, 5.000_000_1e-1);
    let p = p.mul_add(r * r, r) + 1.0;
    // The shift leaves n of the bits of 1.5 * 2^23 + n, in the place of an exponent.
    let value = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    let value = if x < EXP_ARGUMENT_MIN { 0.0 } else { value };
    if x <= EXP_ARGUMENT_MAX {
        value
    } else {
        x + f32::INFINITY
    }
}

/// `ln x`; `-inf` at 0, NaN below 0, `+inf` at `+inf`.
///
/// `x = 2^e m`, `sqrt(1/2) <= m < sqrt(2)`, `f = m - 1`; `ln m = f - f²/2 + f³ p(f)`.
#[inline(always)]
#[must_use]
pub fn log(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 8_388_608.0 } else { x };
    let bias = if subnormal { 23.0 } else { 0.0 };
    let bits = scaled.to_bits() as i32;
    let exponent = bits.wrapping_sub(0x3f35_04f3) >> 23;
    let m = f32::from_bits(bits.wrapping_sub(exponent << 23) as u32);
    let e = exponent as f32 - bias;
    let f = m - 1.0;
    let z = f * f;
    let p = 7.037_683_6e-2_f32;
    let p = p.mul_add(f, -1.151_461_03e-1);
    let p = p.mul_add(f, 1.167_699_87e-1);
    let p = p.mul_add(f, -1.242_014_08e-1);
    let p = p.mul_add(f, 1.424_932_28e-1);
    let p = p.mul_add(f, -1.666_805_77e-1);
    let p = p.mul_add(f, 2.000_071_48e-1);
    let p = p.mul_add(f, -2.499_999_40e-1);
    let p = p.mul_add(f, 3.333_333_12e-1);
    let y = (p * f) * z;
    let y = e.mul_add(LN2_LO, y);
    let y = z.mul_add(-0.5, y);
    let finite = e.mul_add(LN2_HI, f + y);
    let result = if x == f32::INFINITY { x } else { finite };
    let result = if x == 0.0 { f32::NEG_INFINITY } else { result };
    if x < 0.0 || x.is_nan() {
        f32::NAN
    } else {
        result
    }
}

/// `1 / sqrt(x)` by the IEEE square root and division.
#[inline(always)]
#[must_use]
pub fn reciprocal_sqrt(x: f32) -> f32 {
    1.0 / x.sqrt()
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `-ln u` for `u = (word + 1/2) / 2^32`: a standard exponential variate, never 0 or infinite.
///
/// Above one half, `u` rounds to 1 in f32; there the complement `w = 1 - u` is exact enough and
/// `-ln(1 - w) = w ln(v) / (v - 1)` with `v = fl(1 - w)`, and `w` itself where `v` is 1.
#[inline(always)]
#[must_use]
pub fn exponential(word: u32) -> f32 {
    const SCALE: f32 = 1.0 / 4_294_967_296.0;
    let upper = word >> 31 == 1;
    let small = if upper { !word } else { word };
    // Below 2^31 the conversion rounds once; adding one half then rounds once more.
    let w = (small as i32 as f32 + 0.5) * SCALE;
    let v = 1.0 - w;
    let l = log(if upper { v } else { w });
    let complement = if v == 1.0 { w } else { w * (l / (v - 1.0)) };
    if upper { complement } else { -l }
}

/// A standard Gumbel variate `-ln(-ln u)`, `u = (word + 1/2) / 2^32`.
#[inline(always)]
#[must_use]
pub fn gumbel(word: u32) -> f32 {
    -log(exponential(word))
}

/// `x` rounded to bfloat16, ties to even; every NaN becomes `0x7fc0`.
#[inline(always)]
#[must_use]
pub fn bf16_bits(x: f32) -> u16 {
    if x.is_nan() {
        return 0x7fc0;
    }
    let bits = x.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The f64 functions: slower and sharper, for tables that are built once.
pub mod wide {
    const LN2_HI: f64 = 6.931_471_803_691_238_164_90e-1;
    const LN2_LO: f64 = 1.908_214_929_270_587_700_02e-10;
    const HALF_PI_HI: f64 = 1.570_796_326_734_125_614_17;
    const HALF_PI_MIDDLE: f64 = 6.077_100_506_303_965_976_60e-11;
    const HALF_PI_LO: f64 = 2.022_266_248_711_166_455_80e-21;
    const ROUND: f64 = 6_755_399_441_055_744.0;

    /// `e^x` for `|x| <= 700`: Taylor to degree 13 after reduction by `ln 2`.
    #[must_use]
    pub fn exp(x: f64) -> f64 {
        let n = x.mul_add(std::f64::consts::LOG2_E, ROUND) - ROUND;
        let r = n.mul_add(-LN2_LO, n.mul_add(-LN2_HI, x));
        let mut sum = 1.0;
        for k in (1..=13).rev() {
            sum = (sum * r / f64::from(k)) + 1.0;
        }
        sum * f64::from_bits(((n as i64 + 1023) as u64) << 52)
    }

    /// `ln x` for normal positive `x`: `2 atanh((m - 1) / (m + 1))` to degree 23.
    #[must_use]
    pub fn log(x: f64) -> f64 {
        let bits = x.to_bits() as i64;
        let exponent = bits.wrapping_sub(0x3fe6_a09e_667f_3bcd) >> 52;
        let m = f64::from_bits(bits.wrapping_sub(exponent << 52) as u64);
        let s = (m - 1.0) / (m + 1.0);
        let z = s * s;
        let mut sum = 0.0;
        for k in (0..=11).rev() {
            sum = sum * z + 1.0 / f64::from(2 * k + 1);
        }
        let e = exponent as f64;
        e.mul_add(LN2_HI, e.mul_add(LN2_LO, 2.0 * s * sum))
    }

    /// `(sin x, cos x)` for `|x| <= 2^30`: Taylor to degrees 17 and 18 after reduction by π/2.
    #[must_use]
    pub fn sin_cos(x: f64) -> (f64, f64) {
        let n = x.mul_add(std::f64::consts::FRAC_2_PI, ROUND) - ROUND;
        let r = n.mul_add(-HALF_PI_HI, x);
        let r = n.mul_add(-HALF_PI_MIDDLE, r);
        let r = n.mul_add(-HALF_PI_LO, r);
        let z = r * r;
        let (mut sine, mut cosine) = (1.0, 1.0);
        for k in (1..=8).rev() {
            sine = 1.0 - sine * z / f64::from(2 * k * (2 * k + 1));
        }
        for k in (1..=9).rev() {
            cosine = 1.0 - cosine * z / f64::from(2 * k * (2 * k - 1));
        }
        let sine = sine * r;
        match (n as i64) & 3 {
            0 => (sine, cosine),
            1 => (cosine, -sine),
            2 => (-sine, -cosine),
            _ => (-cosine, sine),
        }
    }
}

#[cfg(test)]
mod tests;
