//! The structure of a GGUF file: settings, tensor entries, data.
//!
//! ```text
//! "GGUF" | u32 version | u64 tensors | u64 settings
//! settings: string key | u32 type | value
//! tensors:  string name | u32 n | n × u64 sizes, innermost first | u32 block type | u64 offset
//! padding to the alignment | data, every offset counted from here
//! ```
//!
//! All little-endian; a string is its `u64` length and its bytes. Every count and length is
//! checked against the bytes that are there before anything is reserved for it.

use super::ImportError;
use std::collections::BTreeMap;

/// Most settings in a file.
const SETTINGS_COUNT_MAX: u64 = 1 << 14;
/// Most tensors in a file.
const TENSORS_COUNT_MAX: u64 = 1 << 16;
/// Most sizes of a tensor.
const SIZES_COUNT_MAX: u64 = 4;
/// Where data begins is a multiple of this, unless a setting says otherwise.
const ALIGNMENT: u64 = 32;

/// A setting's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// An integer that is not negative, of any width.
    Unsigned(u64),
    /// A negative integer.
    Negative(i64),
    /// A number of either width.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(&'a str),
    /// A list of texts.
    Texts(Vec<&'a str>),
    /// A list of `i32`.
    Integers(Vec<i32>),
    /// A list that nothing reads.
    Other,
}

/// A tensor's entry.
#[derive(Clone, Debug)]
pub(super) struct TensorInfo<'a> {
    pub(super) name: &'a str,
    /// Outermost first.
    pub(super) shape: Vec<usize>,
    /// The block type's number.
    pub(super) code: u32,
    offset: u64,
}

/// A parsed file.
pub(super) struct File<'a> {
    bytes: &'a [u8],
    settings: BTreeMap<&'a str, Value<'a>>,
    tensors: BTreeMap<&'a str, TensorInfo<'a>>,
    data: u64,
}

/// Reads forward, never past the end.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8], ImportError> {
        let end = usize::try_from(count)
            .ok()
            .and_then(|count| self.at.checked_add(count));
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(bytes) => {
                self.at += bytes.len();
                Ok(bytes)
            }
            None => Err(ImportError::Truncated {
                what: what.to_owned(),
                length: self.bytes.len(),
                end: (self.at as u64).saturating_add(count),
            }),
        }
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], ImportError> {
        let bytes = self.take(N as u64, what)?;
        Ok(*bytes.first_chunk().expect("invariant: N bytes were taken"))
    }

    fn u32(&mut self, what: &str) -> Result<u32, ImportError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64, ImportError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    fn count(&mut self, what: &'static str, limit: u64) -> Result<u64, ImportError> {
        let value = self.u64(what)?;
        if value > limit {
            return Err(ImportError::Limit { what, value, limit });
        }
        Ok(value)
    }

    fn text(&mut self, what: &str) -> Result<&'a str, ImportError> {
        let length = self.u64(what)?;
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map_err(|_| ImportError::Malformed {
            what: what.to_owned(),
            reason: "text is not UTF-8",
        })
    }

    /// A value of the numbered type.
    fn value(&mut self, code: u32, key: &str) -> Result<Value<'a>, ImportError> {
        let signed = |value: i64| match u64::try_from(value) {
            Ok(value) => Value::Unsigned(value),
            Err(_) => Value::Negative(value),
        };
        Ok(match code {
            0 => Value::Unsigned(u8::from_le_bytes(self.array(key)?).into()),
            1 => signed(i8::from_le_bytes(self.array(key)?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array(key)?).into()),
            3 => signed(i16::from_le_bytes(self.array(key)?).into()),
            4 => Value::Unsigned(self.u32(key)?.into()),
            5 => signed(i32::from_le_bytes(self.array(key)?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array(key)?).into()),
            7 => Value::Bool(self.array(key)? != [0]),
            8 => Value::Text(self.text(key)?),
            9 => self.list(key)?,
            10 => Value::Unsigned(self.u64(key)?),
            11 => signed(i64::from_le_bytes(self.array(key)?)),
            12 => Value::Float(f64::from_le_bytes(self.array(key)?)),
            _ => {
                return Err(ImportError::Malformed {
                    what: format!("key {}", key.escape_debug()),
                    reason: "its type is unknown",
                });
            }
        })
    }

    fn list(&mut self, key: &str) -> Result<Value<'a>, ImportError> {
        let code = self.u32(key)?;
        let count = self.u64(key)?;
        let width = match code {
            // A text is at least its length, so the count is bounded by the bytes that are left.
            8 => {
                let left = (self.bytes.len() - self.at) as u64 / 8;
                let most = usize::try_from(count.min(left)).unwrap_or(0);
                let mut texts = Vec::with_capacity(most);
                for _ in 0..count {
                    texts.push(self.text(key)?);
                }
                return Ok(Value::Texts(texts));
            }
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            _ => {
                return Err(ImportError::Malformed {
                    what: format!("key {}", key.escape_debug()),
                    reason: "its list has elements of an unknown type",
                });
            }
        };
        let bytes = self.take(count.saturating_mul(width), key)?;
        if code != 5 {
            return Ok(Value::Other);
        }
        let words = bytes.as_chunks::<4>().0.iter();
        let integers = words.map(|word| i32::from_le_bytes(*word));
        Ok(Value::Integers(integers.collect()))
    }

    fn tensor(&mut self) -> Result<TensorInfo<'a>, ImportError> {
        let name = self.text("a tensor's name")?;
        let count = u64::from(self.u32(name)?);
        if count == 0 || count > SIZES_COUNT_MAX {
            return Err(ImportError::Limit {
                what: "number of a tensor's sizes",
                value: count,
                limit: SIZES_COUNT_MAX,
            });
        }
        let mut shape = Vec::new();
        for _ in 0..count {
            let size = self.u64(name)?;
            shape.push(usize::try_from(size).unwrap_or(usize::MAX));
        }
        shape.reverse();
        Ok(TensorInfo {
            name,
            shape,
            code: self.u32(name)?,
            offset: self.u64(name)?,
        })
    }
}

impl<'a> File<'a> {
    /// Reads settings and tensor entries.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ImportError> {
        let mut cursor = Cursor { bytes, at: 0 };
        if !bytes.starts_with(b"GGUF") {
            return Err(ImportError::Magic);
        }
        cursor.at = 4;
        let version = cursor.u32("the version")?;
        if !(2..=3).contains(&version) {
            return Err(ImportError::Version { version });
        }
        let tensors_count = cursor.count("number of tensors", TENSORS_COUNT_MAX)?;
        let settings_count = cursor.count("number of settings", SETTINGS_COUNT_MAX)?;
        let twice = |what: &str| ImportError::Malformed {
            what: what.escape_debug().to_string(),
            reason: "it is there twice",
        };
        let mut settings = BTreeMap::new();
        for _ in 0..settings_count {
            let key = cursor.text("a key")?;
            let code = cursor.u32(key)?;
            let value = cursor.value(code, key)?;
            if settings.insert(key, value).is_some() {
                return Err(twice(key));
            }
        }
        let mut tensors = BTreeMap::new();
        for _ in 0..tensors_count {
            let tensor = cursor.tensor()?;
            let name = tensor.name;
            if tensors.insert(name, tensor).is_some() {
                return Err(twice(name));
            }
        }
        let mut file = Self {
            bytes,
            settings,
            tensors,
            data: 0,
        };
        let alignment = file.unsigned_or("general.alignment", ALIGNMENT)?;
        if !alignment.is_power_of_two() {
            return Err(ImportError::Malformed {
                what: "general.alignment".to_owned(),
                reason: "it is not a power of two",
            });
        }
        file.data = (cursor.at as u64)
            .checked_next_multiple_of(alignment)
            .unwrap_or(u64::MAX);
        Ok(file)
    }

    /// The names of all tensors, sorted.
    pub(super) fn tensor_names(&self) -> impl Iterator<Item = &'a str> {
        self.tensors.keys().copied()
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&TensorInfo<'a>> {
        self.tensors.get(name)
    }

    /// `length` bytes of a tensor.
    pub(super) fn data(
        &self,
        tensor: &TensorInfo<'_>,
        length: usize,
    ) -> Result<&'a [u8], ImportError> {
        let begin = self.data.saturating_add(tensor.offset);
        let end = begin.saturating_add(length as u64);
        let range = usize::try_from(begin).ok().zip(usize::try_from(end).ok());
        range
            .and_then(|(begin, end)| self.bytes.get(begin..end))
            .ok_or_else(|| ImportError::Truncated {
                what: format!("tensor {}", tensor.name),
                length: self.bytes.len(),
                end,
            })
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.settings.get(key)
    }

    /// A text, if the key is there.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, ImportError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(wrong_type(key, "text")),
        }
    }

    /// A list of texts, if the key is there.
    pub(super) fn texts(&self, key: &str) -> Result<Option<&[&'a str]>, ImportError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Texts(texts)) => Ok(Some(texts)),
            Some(_) => Err(wrong_type(key, "a list of texts")),
        }
    }

    /// An integer, if the key is there.
    pub(super) fn unsigned(&self, key: &str) -> Result<Option<u64>, ImportError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Unsigned(value)) => Ok(Some(*value)),
            Some(_) => Err(wrong_type(key, "an integer from 0")),
        }
    }

    /// An integer, or what it is where the key is absent.
    pub(super) fn unsigned_or(&self, key: &str, default: u64) -> Result<u64, ImportError> {
        Ok(self.unsigned(key)?.unwrap_or(default))
    }

    /// An integer that must be there.
    pub(super) fn size(&self, key: &str) -> Result<usize, ImportError> {
        let value = self.unsigned(key)?.ok_or_else(|| ImportError::KeyMissing {
            key: key.to_owned(),
            expected: "an integer from 0",
        })?;
        Ok(usize::try_from(value).unwrap_or(usize::MAX))
    }

    /// A number, if the key is there.
    pub(super) fn float(&self, key: &str) -> Result<Option<f64>, ImportError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Float(value)) => Ok(Some(*value)),
            Some(_) => Err(wrong_type(key, "a number")),
        }
    }
}

fn wrong_type(key: &str, expected: &'static str) -> ImportError {
    ImportError::KeyType {
        key: key.to_owned(),
        expected,
    }
}
