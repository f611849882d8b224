//! Cutting a rollout's activations into the chunks that one proof each covers.

use super::TOP_COUNT_MAX;

/// Most values in one chunk: a position must fit 32 bits.
const CHUNK_VALUES_MAX: usize = u32::MAX as usize;

/// The shape of a rollout's activations and of the proofs over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Width of a hidden state.
    pub hidden: usize,
    /// Rows at the front that make up the first chunk; zero if there is no such chunk.
    pub prefill_tokens: usize,
    /// Rows in each later chunk; the last may have fewer.
    pub chunk_tokens: usize,
    /// Activations covered by each proof, the scheme's k.
    pub top_count: usize,
}

/// Last hidden states of one rollout: `[tokens, hidden]` bf16 bit patterns, row-major, with their
/// layout checked.
#[derive(Debug, Clone, Copy)]
pub struct Activations<'a> {
    values: &'a [u16],
    layout: Layout,
}

/// Why values and layout do not fit each other. These are mistakes of the caller, not of a prover.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActivationsError {
    /// A width, chunk length or count of zero, or too large a count.
    #[error("{field} is {value}; from 1 to {value_max} is possible")]
    Field {
        /// Which field of the layout.
        field: &'static str,
        /// Its value.
        value: usize,
        /// The limit.
        value_max: usize,
    },
    /// Values that are not whole rows.
    #[error("{value_count} activations are not rows of {hidden}")]
    Rows {
        /// Values given.
        value_count: usize,
        /// Width of a row.
        hidden: usize,
    },
    /// Fewer rows than the first chunk has.
    #[error("{tokens} rows of activations; the prefill chunk alone has {prefill_tokens}")]
    Prefill {
        /// Rows given.
        tokens: usize,
        /// Rows in the first chunk.
        prefill_tokens: usize,
    },
}

impl<'a> Activations<'a> {
    /// Pairs values with their layout.
    ///
    /// # Errors
    /// When the layout is impossible or the values do not have its shape.
    pub fn new(values: &'a [u16], layout: Layout) -> Result<Self, ActivationsError> {
        let Layout {
            hidden,
            prefill_tokens,
            chunk_tokens,
            top_count,
        } = layout;
        check_field("hidden", hidden, CHUNK_VALUES_MAX)?;
        let rows_max = CHUNK_VALUES_MAX / hidden;
        check_field("chunk_tokens", chunk_tokens, rows_max)?;
        check_field("top_count", top_count, TOP_COUNT_MAX)?;
        if prefill_tokens > 0 {
            check_field("prefill_tokens", prefill_tokens, rows_max)?;
        }
        if !values.len().is_multiple_of(hidden) {
            return Err(ActivationsError::Rows {
                value_count: values.len(),
                hidden,
            });
        }
        let tokens = values.len() / hidden;
        if tokens < prefill_tokens {
            return Err(ActivationsError::Prefill {
                tokens,
                prefill_tokens,
            });
        }
        Ok(Self { values, layout })
    }

    /// The layout.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The chunks, each to be covered by one proof.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = &'a [u16]> + use<'a> {
        let Layout {
            hidden,
            prefill_tokens,
            chunk_tokens,
            top_count: _,
        } = self.layout;
        let (prefill, response) = self.values.split_at(prefill_tokens * hidden);
        let prefill_count = usize::from(prefill_tokens > 0);
        let chunk_values = chunk_tokens * hidden;
        let chunk_count = prefill_count + response.len().div_ceil(chunk_values);
        (0..chunk_count).map(move |chunk_index| {
            if chunk_index < prefill_count {
                return prefill;
            }
            let start = (chunk_index - prefill_count) * chunk_values;
            let end = response.len().min(start + chunk_values);
            response.get(start..end).unwrap_or_default()
        })
    }
}

fn check_field(
    field: &'static str,
    value: usize,
    value_max: usize,
) -> Result<(), ActivationsError> {
    if value == 0 || value > value_max {
        return Err(ActivationsError::Field {
            field,
            value,
            value_max,
        });
    }
    Ok(())
}
