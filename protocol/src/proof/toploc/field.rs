//! Polynomials over GF(65497). A product of two elements plus a third fits 32 bits, and reducing it
//! needs no division, because the prime is just below 2¹⁶.
//!
//! Every inner loop runs over points that do not depend on each other, so it vectorises; none
//! contains a division.

/// The field's prime, 2¹⁶ − 39.
pub const PRIME: u32 = 65_497;

/// What 2¹⁶ is congruent to.
const FOLD: u32 = 39;

/// Reduces any 32-bit number. Two folds leave at most 65 535 + 39², below twice the prime.
#[inline]
fn reduce(number: u32) -> u32 {
    let folded = (number >> 16) * FOLD + (number & 0xffff);
    let folded = (folded >> 16) * FOLD + (folded & 0xffff);
    // The difference wraps to a huge number exactly when nothing must be subtracted.
    folded.min(folded.wrapping_sub(PRIME))
}

#[inline]
fn reduce_wide(number: u64) -> u32 {
    u32::try_from(number % u64::from(PRIME)).unwrap_or(0)
}

/// `a · b + c`, for elements.
#[inline]
fn multiply_add(a: u32, b: u32, c: u32) -> u32 {
    reduce(a * b + c)
}

/// The element's inverse by Fermat: its power PRIME − 2. The inverse of zero is zero.
fn inverse(element: u32) -> u32 {
    let mut power = element;
    let mut product = 1;
    let mut exponent = PRIME - 2;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = multiply_add(product, power, 0);
        }
        power = multiply_add(power, power, 0);
        exponent >>= 1;
    }
    product
}

/// The values of a polynomial (coefficients ascending) at each of `points`, by Horner's rule on all
/// points at once.
pub(super) fn evaluate(coefficients: &[u32], points: &[u32]) -> Vec<u32> {
    let mut values = vec![0; points.len()];
    for &coefficient in coefficients.iter().rev() {
        for (value, &point) in values.iter_mut().zip(points) {
            *value = multiply_add(*value, point, coefficient);
        }
    }
    values
}

/// The coefficients, ascending, of the polynomial of degree below n through n points with distinct
/// `x`. All numbers are elements, below [`PRIME`].
///
/// With M(x) = Π (x − xᵢ) the polynomial is Σ yᵢ / M′(xᵢ) · M(x) / (x − xᵢ). The n quotients
/// M / (x − xᵢ) come from synthetic division, all of them one coefficient at a time from the top.
pub(super) fn interpolate(x: &[u32], y: &[u32]) -> Vec<u32> {
    let master = master_polynomial(x);
    let slopes = evaluate(&derivative(&master), x);
    let weights: Vec<u32> = inverses(&slopes)
        .iter()
        .zip(y)
        .map(|(&inverse_slope, &y)| multiply_add(inverse_slope, y, 0))
        .collect();
    let mut coefficients = vec![0; x.len()];
    let mut quotients = vec![0; x.len()];
    for (coefficient, &above) in coefficients.iter_mut().zip(master.iter().skip(1)).rev() {
        for (quotient, &x) in quotients.iter_mut().zip(x) {
            *quotient = multiply_add(*quotient, x, above);
        }
        *coefficient = inner_product(&quotients, &weights);
    }
    coefficients
}

/// Σ aᵢ bᵢ. A product is below 2³², so 2³² of them fit 64 bits.
fn inner_product(a: &[u32], b: &[u32]) -> u32 {
    reduce_wide(a.iter().zip(b).map(|(&a, &b)| u64::from(a * b)).sum())
}

/// Π (x − xᵢ), coefficients ascending, the leading one included.
fn master_polynomial(x: &[u32]) -> Vec<u32> {
    let mut product = Vec::with_capacity(x.len() + 1);
    let mut shifted = Vec::with_capacity(x.len() + 1);
    product.push(1);
    for &root in x {
        // (x − root) · product = x · product + (−root) · product.
        let negative = (PRIME - root) % PRIME;
        shifted.clear();
        shifted.push(0);
        shifted.extend_from_slice(&product);
        for (above, &coefficient) in shifted.iter_mut().zip(&product) {
            *above = multiply_add(coefficient, negative, *above);
        }
        std::mem::swap(&mut product, &mut shifted);
    }
    product
}

/// The derivative's coefficients, ascending.
fn derivative(coefficients: &[u32]) -> Vec<u32> {
    (1..)
        .zip(coefficients.iter().skip(1))
        .map(|(power, &c)| multiply_add(power, c, 0))
        .collect()
}

/// The inverses of nonzero elements with a single exponentiation: invert the product of all, then
/// peel off one factor at a time.
fn inverses(elements: &[u32]) -> Vec<u32> {
    let mut product = 1;
    let mut inverses: Vec<u32> = elements
        .iter()
        .map(|&element| {
            let before = product;
            product = multiply_add(product, element, 0);
            before
        })
        .collect();
    let mut remaining = inverse(product);
    for (slot, &element) in inverses.iter_mut().zip(elements).rev() {
        *slot = multiply_add(*slot, remaining, 0);
        remaining = multiply_add(remaining, element, 0);
    }
    inverses
}
