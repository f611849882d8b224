//! Polynomials over GF(65497), in elements of 16 bits.
//!
//! Products are Montgomery's: with R = 2¹⁶, [`multiply`] gives a · b / R, so one of the factors is
//! kept as [`Scaled`], multiplied by R beforehand. That takes the high and low halves of two 16-bit
//! products and no division, and every processor has these operations for eight numbers at once.
//!
//! Every inner loop runs over points that do not depend on each other, so it vectorises.

/// The field's prime, 2¹⁶ − 39.
pub const PRIME: u16 = 65_497;

/// R = 2¹⁶ modulo the prime.
const RADIX: u16 = 39;

/// The inverse of the prime modulo 2¹⁶: `PRIME * PRIME_INVERSE` is 1 modulo 2¹⁶.
const PRIME_INVERSE: u16 = prime_inverse();

/// Newton's iteration doubles the correct low bits: 3, 6, 12, 24.
const fn prime_inverse() -> u16 {
    let mut inverse = PRIME;
    let mut round = 0;
    while round < 3 {
        inverse = inverse.wrapping_mul(2_u16.wrapping_sub(PRIME.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

/// An element times R.
#[derive(Clone, Copy)]
struct Scaled(u16);

impl Scaled {
    fn new(element: u16) -> Self {
        let product = u32::from(element) * u32::from(RADIX) % u32::from(PRIME);
        Self(low(product))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
#[inline]
const fn low(number: u32) -> u16 {
    number as u16
}

/// The high half of a product.
#[inline]
const fn multiply_high(a: u16, b: u16) -> u16 {
    low((a as u32 * b as u32) >> 16)
}

/// `a − b`, for elements.
#[inline]
const fn subtract(a: u16, b: u16) -> u16 {
    let borrowed = if a < b { PRIME } else { 0 };
    a.wrapping_sub(b).wrapping_add(borrowed)
}

/// `a · b`, an element. With q = low(a b) / PRIME modulo 2¹⁶ the low halves of a b and q PRIME are
/// equal, so their difference is that of the high halves, times R.
#[inline]
const fn multiply(a: u16, b: Scaled) -> u16 {
    let quotient = a.wrapping_mul(b.0).wrapping_mul(PRIME_INVERSE);
    subtract(multiply_high(a, b.0), multiply_high(quotient, PRIME))
}

/// `−a`, for an element; −0 stays the prime itself, which [`subtract`] takes as zero.
#[inline]
const fn negative(a: u16) -> u16 {
    PRIME - a
}

/// The element's inverse by Fermat: its power PRIME − 2. The inverse of zero is zero.
fn inverse(element: u16) -> u16 {
    let mut power = element;
    let mut product = 1;
    let mut exponent = PRIME - 2;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = multiply(product, Scaled::new(power));
        }
        power = multiply(power, Scaled::new(power));
        exponent >>= 1;
    }
    product
}

fn scaled(elements: &[u16]) -> Vec<Scaled> {
    elements.iter().copied().map(Scaled::new).collect()
}

/// The values of a polynomial (coefficients ascending) at each of `points`, by Horner's rule on all
/// points at once. All numbers are elements, below [`PRIME`].
pub(super) fn evaluate(coefficients: &[u16], points: &[u16]) -> Vec<u16> {
    let points = scaled(points);
    let mut values = vec![0; points.len()];
    for &coefficient in coefficients.iter().rev() {
        horner(&mut values, &points, coefficient);
    }
    values
}

/// One step of Horner's rule: each value times its point, plus a coefficient.
fn horner(values: &mut [u16], points: &[Scaled], coefficient: u16) {
    let coefficient = negative(coefficient);
    for (value, &point) in values.iter_mut().zip(points) {
        *value = subtract(multiply(*value, point), coefficient);
    }
}

/// The coefficients, ascending, of the polynomial of degree below n through n points with distinct
/// `x`. All numbers are elements, below [`PRIME`].
///
/// With M(x) = Π (x − xᵢ) the polynomial is Σ yᵢ / M′(xᵢ) · M(x) / (x − xᵢ). The n quotients
/// M / (x − xᵢ) come from synthetic division, all of them one coefficient at a time from the top.
pub(super) fn interpolate(x: &[u16], y: &[u16]) -> Vec<u16> {
    let master = master_polynomial(x);
    let slopes = evaluate(&derivative(&master), x);
    let weights: Vec<Scaled> = inverses(&slopes)
        .into_iter()
        .zip(y)
        .map(|(inverse_slope, &y)| Scaled::new(multiply(inverse_slope, Scaled::new(y))))
        .collect();
    let points = scaled(x);
    let mut coefficients = vec![0; x.len()];
    let mut quotients = vec![0; x.len()];
    for (coefficient, &above) in coefficients.iter_mut().zip(master.iter().skip(1)).rev() {
        horner(&mut quotients, &points, above);
        *coefficient = inner_product(&quotients, &weights);
    }
    coefficients
}

/// Σ aᵢ bᵢ, of at most 2¹⁶ terms.
fn inner_product(a: &[u16], b: &[Scaled]) -> u16 {
    let products = a.iter().zip(b).map(|(&a, &b)| u32::from(multiply(a, b)));
    low(products.sum::<u32>() % u32::from(PRIME))
}

/// Π (x − xᵢ), coefficients ascending, the leading one included.
fn master_polynomial(x: &[u16]) -> Vec<u16> {
    let mut product = Vec::with_capacity(x.len() + 1);
    let mut shifted = Vec::with_capacity(x.len() + 1);
    product.push(1);
    for &root in x {
        // (x − root) · product = x · product − root · product.
        let root = Scaled::new(root);
        shifted.clear();
        shifted.push(0);
        shifted.extend_from_slice(&product);
        for (above, &coefficient) in shifted.iter_mut().zip(&product) {
            *above = subtract(*above, multiply(coefficient, root));
        }
        std::mem::swap(&mut product, &mut shifted);
    }
    product
}

/// The derivative's coefficients, ascending.
fn derivative(coefficients: &[u16]) -> Vec<u16> {
    (1..)
        .zip(coefficients.iter().skip(1))
        .map(|(power, &c)| multiply(c, Scaled::new(power)))
        .collect()
}

/// The inverses of nonzero elements with a single exponentiation: invert the product of all, then
/// peel off one factor at a time.
fn inverses(elements: &[u16]) -> Vec<u16> {
    let mut product = 1;
    let mut inverses: Vec<u16> = elements
        .iter()
        .map(|&element| {
            let before = product;
            product = multiply(product, Scaled::new(element));
            before
        })
        .collect();
    let mut remaining = inverse(product);
    for (slot, &element) in inverses.iter_mut().zip(elements).rev() {
        *slot = multiply(*slot, Scaled::new(remaining));
        remaining = multiply(remaining, Scaled::new(element));
    }
    inverses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_differences_are_those_of_the_field() {
        let elements = [
            0, 1, 2, 38, 39, 40, 255, 256, 32_748, 32_749, 65_495, 65_496,
        ];
        for a in elements.into_iter().chain((0..PRIME).step_by(97)) {
            for b in elements.into_iter().chain((0..PRIME).step_by(101)) {
                let (wide_a, wide_b, prime) = (u32::from(a), u32::from(b), u32::from(PRIME));
                let product = multiply(a, Scaled::new(b));
                assert_eq!(u32::from(product), wide_a * wide_b % prime, "{a} · {b}");
                let difference = (wide_a + prime - wide_b) % prime;
                assert_eq!(u32::from(subtract(a, b)), difference, "{a} − {b}");
                let sum = (wide_a + wide_b) % prime;
                assert_eq!(u32::from(subtract(a, negative(b))), sum, "{a} + {b}");
            }
        }
    }

    #[test]
    fn an_element_times_its_inverse_is_one() {
        for element in (1..PRIME).step_by(13) {
            let product = multiply(inverse(element), Scaled::new(element));
            assert_eq!(product, 1, "{element}");
        }
        assert_eq!(inverse(0), 0);
    }
}
