//! Golden files and relative errors.

use safetensors::SafeTensors;
use std::path::PathBuf;

/// A place in the golden folder.
pub(crate) fn golden(path: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/golden").join(path)
}

/// What `transformers` computed.
pub(crate) struct Expected {
    bytes: Vec<u8>,
}

impl Expected {
    /// Reads a file of the golden folder.
    pub(crate) fn read(path: &str) -> Self {
        let bytes = std::fs::read(golden(path)).unwrap();
        Self { bytes }
    }

    pub(crate) fn words(&self, name: &str) -> Vec<u32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor(name).unwrap();
        let words = tensor.data().as_chunks::<4>().0.iter();
        words.map(|word| u32::from_le_bytes(*word)).collect()
    }

    pub(crate) fn values(&self, name: &str) -> Vec<f32> {
        self.words(name).into_iter().map(f32::from_bits).collect()
    }
}

/// The larger of the two relative errors.
fn relative_error(got: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(got.len(), expected.len());
    assert!(got.iter().all(|x| x.is_finite()), "a value is not finite");
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = || {
        let pairs = got.iter().zip(expected);
        pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs())
    };
    let size = || expected.iter().map(|&x| f64::from(x).abs());
    let by_largest = largest(&mut difference()) / largest(&mut size());
    by_largest.max(norm(&mut difference()) / norm(&mut size()))
}

/// Checks an error against a limit, and returns it.
pub(crate) fn assert_close(
    case: &str,
    name: &str,
    got: &[f32],
    expected: &[f32],
    limit: f64,
) -> f64 {
    let error = relative_error(got, expected);
    assert!(error <= limit, "{case} {name}: {error:e} above {limit:e}");
    error
}
