//! How numbers are written in vectors, and numbers made from a text.

use serde_json::{Value, json};
use std::cell::Cell;

/// Numbers in full up to this many; longer results are a hash and their first numbers.
const WRITTEN_COUNT_MAX: usize = 48;
/// The first numbers of a longer result, for whoever looks for the difference.
const FIRST_COUNT: usize = 8;

/// A number with a bit pattern.
pub(super) trait Number: Copy {
    /// Its bits in hexadecimal, or `nan`.
    fn hexadecimal(self) -> String;
    /// Its little-endian bytes; every NaN has those of one.
    fn bytes(self) -> Vec<u8>;
}

impl Number for f32 {
    fn hexadecimal(self) -> String {
        if self.is_nan() {
            return "nan".to_owned();
        }
        format!("{:08x}", self.to_bits())
    }
    fn bytes(self) -> Vec<u8> {
        let bits = if self.is_nan() {
            0x7fc0_0000
        } else {
            self.to_bits()
        };
        bits.to_le_bytes().to_vec()
    }
}

impl Number for f64 {
    fn hexadecimal(self) -> String {
        if self.is_nan() {
            return "nan".to_owned();
        }
        format!("{:016x}", self.to_bits())
    }
    fn bytes(self) -> Vec<u8> {
        let bits = if self.is_nan() {
            0x7ff8 << 48
        } else {
            self.to_bits()
        };
        bits.to_le_bytes().to_vec()
    }
}

impl Number for u32 {
    fn hexadecimal(self) -> String {
        format!("{self:08x}")
    }
    fn bytes(self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }
}

impl Number for u16 {
    fn hexadecimal(self) -> String {
        format!("{self:04x}")
    }
    fn bytes(self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }
}

/// All numbers in full.
pub(super) fn written<T: Number>(numbers: &[T]) -> Value {
    let words: Vec<String> = numbers.iter().map(|number| number.hexadecimal()).collect();
    Value::String(words.join(" "))
}

/// A result: in full if it is short, else the hash of its bytes and its first numbers.
pub(super) fn result<T: Number>(numbers: &[T]) -> Value {
    if numbers.len() <= WRITTEN_COUNT_MAX {
        return written(numbers);
    }
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.bytes()).collect();
    json!({
        "count": numbers.len(),
        "first": written(&numbers[..FIRST_COUNT]),
        "hash": blake3::hash(&bytes).to_hex().as_str(),
    })
}

/// Two digits a byte.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes: in full if they are few, else their hash and the first.
pub(super) fn bytes_result(bytes: &[u8]) -> Value {
    let hexadecimal =
        |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    if bytes.len() <= 4 * WRITTEN_COUNT_MAX {
        return Value::String(hexadecimal(bytes));
    }
    json!({
        "count": bytes.len(),
        "first": hexadecimal(&bytes[..4 * FIRST_COUNT]),
        "hash": blake3::hash(bytes).to_hex().as_str(),
    })
}

/// One row of a table.
pub(super) fn row(name: &str, input: Value, expect: Value) -> Value {
    let fields = [("name", json!(name)), ("input", input), ("expect", expect)];
    fields
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

thread_local! {
    static SALT: Cell<u32> = const { Cell::new(0) };
}

/// Calls `work` with other texts, and so with other numbers, for every salt but 0.
pub(super) fn with_salt<T>(salt: u32, work: impl FnOnce() -> T) -> T {
    SALT.set(salt);
    let result = work();
    SALT.set(0);
    result
}

/// The text that a row names for `text`.
pub(super) fn salted(text: &str) -> String {
    match SALT.get() {
        0 => text.to_owned(),
        salt => format!("{text} {salt}"),
    }
}

/// Bit patterns made from a text: the words of its BLAKE3 stream.
pub(super) fn words(text: &str, count: usize) -> Vec<u32> {
    let mut bytes = vec![0; count * 4];
    blake3::Hasher::new()
        .update(salted(text).as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|word| u32::from_le_bytes(*word)).collect()
}

/// Numbers made from a text, and how a row names them.
#[derive(Clone, Debug)]
pub(super) struct Noise {
    pub(super) values: Vec<f32>,
    pub(super) name: Value,
}

/// `count` numbers below `8 scale` with a spread of magnitudes; `scale` is a power of two.
pub(super) fn noise(text: &str, count: usize, scale: f32) -> Noise {
    let value = |word: u32| {
        let mantissa = (word.cast_signed() >> 8) as f32;
        (mantissa * 2.0_f32.powi(-20 - (word & 7).cast_signed())) * scale
    };
    Noise {
        values: words(text, count).into_iter().map(value).collect(),
        name: json!({"noise": salted(text), "count": count, "scale": scale.hexadecimal()}),
    }
}
