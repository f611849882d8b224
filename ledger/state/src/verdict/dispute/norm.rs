//! A block of a reinforcement unit's update that is not what its last sum gives.
//!
//! What such a unit sends is its sum, limited to a norm and written in blocks. A block follows from
//! a piece of the sum and from the factor, which follows from the norm, that is from all values. So
//! the miner says the 16 lanes of their squares, from which the factor and the block follow at
//! once, and if they fit, the challenger follows one lane down to one square.
//!
//! ```text
//! block ─▶ lanes ─┬▶ the block does not follow ─────────────────────────▶ verdict
//!                 └▶ a wrong lane ─▶ values of its fold ─▶ … ─▶ square ─▶ verdict
//! ```
//!
//! The sum is one that the miner has shown by name, and that auditors went by; whether it is right
//! is another complaint. Spec: 07-verdict §11, arithmetic §2, §7 and §8

use super::{Block, Operation, Place, Refused, step::Task, update};
use borsh::{BorshDeserialize, BorshSerialize};
use engine_trace::{
    clip::{self, LANES_COUNT, index_of, steps_count, taken_in},
    dispute::{Question, Side, Stretch},
    tree::{Opening, PIECE_BYTES},
    update::BLOCK_VALUES,
};
use serde::{Deserialize, Serialize};

/// Bytes of a value.
const VALUE_BYTES: u64 = 4;

/// Where a dispute about the norm of a unit's sum is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum Norm {
    /// The miner owes the lanes, from which this block must follow.
    Lanes {
        /// Its index.
        block: u32,
        /// The piece of the sum that it comes from.
        piece: Vec<u8>,
        /// Its bytes in the blob.
        sent: Vec<u8>,
    },
    /// The challenger owes the lane that is wrong.
    Wrong {
        /// Bits of the lanes, which give the block.
        lanes: Vec<u64>,
    },
    /// The miner owes values of a lane's fold.
    Fold {
        /// Which lane.
        lane: u8,
        /// Between what.
        stretch: Stretch,
    },
    /// The challenger owes the first that is wrong.
    Cut {
        /// Which lane.
        lane: u8,
        /// Between what.
        stretch: Stretch,
        /// Bits of the values at [`Stretch::cuts`].
        values: Vec<u64>,
    },
    /// The challenger owes the value whose square is taken in.
    Square {
        /// Which lane.
        lane: u8,
        /// The step.
        stretch: Stretch,
    },
}

/// What a move leads to: where the dispute goes on, or the operation that decides it.
type Led = Result<Place, Operation>;

impl Norm {
    /// The side that owes a move.
    #[must_use]
    pub const fn side(&self) -> Side {
        match self {
            Self::Lanes { .. } | Self::Fold { .. } => Side::Defendant,
            Self::Wrong { .. } | Self::Cut { .. } | Self::Square { .. } => Side::Challenger,
        }
    }
}

/// The challenger shows a block of the update, and the piece of the sum that it comes from.
pub(super) fn claimed(task: &Task, shown: &Block) -> Result<Place, Refused> {
    let values_count = task.parameters_count();
    let values_before = u64::from(shown.block).saturating_mul(BLOCK_VALUES as u64);
    if values_before >= values_count {
        return Err(Refused::Index {
            index: shown.block.into(),
            count: values_count.div_ceil(BLOCK_VALUES as u64),
        });
    }
    let piece = opened(task, shown.block.into(), &shown.sum)?;
    let sent = update::block_bytes(task, shown.block, piece.len(), &shown.blob)?;
    Ok(Place::Norm(Norm::Lanes {
        block: shown.block,
        piece: piece.to_vec(),
        sent,
    }))
}

/// The bytes of a piece of the sum that the unit ends with.
fn opened<'a>(task: &Task, piece: u64, sum: &'a Opening) -> Result<&'a [u8], Refused> {
    let last = task.last_weights().ok_or(Refused::Piece)?;
    let bytes = task.parameters_count().saturating_mul(VALUE_BYTES);
    let opens = sum.piece == piece && sum.opens(last.as_bytes(), bytes);
    opens.then_some(&sum.bytes[..]).ok_or(Refused::Piece)
}

/// The miner says sums of squares: the lanes, or values of a lane's fold.
pub(super) fn stated(norm: &Norm, sums: Vec<u64>) -> Result<Led, Refused> {
    match norm {
        Norm::Lanes { block, piece, sent } => {
            let found = sums.len();
            let needed = LANES_COUNT;
            let lanes = sums.try_into();
            let lanes: [u64; LANES_COUNT] = lanes.map_err(|_| Refused::Values { found, needed })?;
            Ok(fitting(*block, (&piece[..], sent), &lanes))
        }
        Norm::Fold { lane, stretch } => {
            let (found, needed) = (sums.len(), stretch.cuts().len());
            if found != needed {
                return Err(Refused::Values { found, needed });
            }
            Ok(Ok(Place::Norm(Norm::Cut {
                lane: *lane,
                stretch: *stretch,
                values: sums,
            })))
        }
        Norm::Wrong { .. } | Norm::Cut { .. } | Norm::Square { .. } => Err(Refused::NotDue),
    }
}

/// Goes on about the lanes if the block follows from them.
fn fitting(index: u32, (piece, sent): (&[u8], &Vec<u8>), lanes: &[u64; LANES_COUNT]) -> Led {
    if clip::block(piece, lanes).as_ref() == Some(sent) {
        let lanes = lanes.to_vec();
        return Ok(Place::Norm(Norm::Wrong { lanes }));
    }
    Err(Operation::Update {
        block: index,
        is_right: false,
    })
}

/// The challenger points to the first lane that is wrong, or the first value of a lane's fold.
pub(super) fn pointed(task: &Task, norm: &Norm, question: &Question) -> Result<Led, Refused> {
    let Question::First(first) = question else {
        return Err(Refused::NotDue);
    };
    let at = usize::from(*first);
    let beyond = |count: usize| Refused::Index {
        index: u64::from(*first),
        count: count as u64,
    };
    match norm {
        Norm::Wrong { lanes } => {
            let after = *lanes.get(at).ok_or(beyond(lanes.len()))?;
            let lane = u8::try_from(at).map_err(|_| beyond(lanes.len()))?;
            let steps = steps_count(task.parameters_count(), lane.into());
            if steps == 0 {
                return Ok(Err(Operation::Square {
                    index: lane.into(),
                    claimed: after,
                    computed: 0.0_f64.to_bits(),
                }));
            }
            let whole = Stretch {
                from: 0,
                to: steps,
                before: None,
                after,
            };
            Ok(Ok(folded(lane, whole)))
        }
        Norm::Cut {
            lane,
            stretch,
            values,
        } => {
            if at > values.len() {
                return Err(beyond(values.len().saturating_add(1)));
            }
            Ok(Ok(folded(*lane, stretch.part(at, values))))
        }
        Norm::Lanes { .. } | Norm::Fold { .. } | Norm::Square { .. } => Err(Refused::NotDue),
    }
}

/// A stretch of one step is computed; a longer one is cut.
const fn folded(lane: u8, stretch: Stretch) -> Place {
    if stretch.to.saturating_sub(stretch.from) > 1 {
        return Place::Norm(Norm::Fold { lane, stretch });
    }
    Place::Norm(Norm::Square { lane, stretch })
}

/// The challenger shows the value whose square a step of a lane takes in.
pub(super) fn square(task: &Task, norm: &Norm, shown: &Opening) -> Result<Operation, Refused> {
    let Norm::Square { lane, stretch } = norm else {
        return Err(Refused::NotDue);
    };
    let index = index_of((*lane).into(), stretch.from);
    let byte = index.saturating_mul(VALUE_BYTES);
    opened(task, byte.checked_div(PIECE_BYTES).unwrap_or(0), shown)?;
    let value = shown.bytes_at(byte, VALUE_BYTES);
    let value = value
        .and_then(<[u8]>::as_array::<4>)
        .ok_or(Refused::Piece)?;
    let before = f64::from_bits(stretch.before.unwrap_or(0));
    Ok(Operation::Square {
        index,
        claimed: stretch.after,
        computed: taken_in(f32::from_le_bytes(*value), before),
    })
}

/// A block comes from one piece of the sum.
const _: () = assert!(BLOCK_VALUES as u64 * VALUE_BYTES == PIECE_BYTES);
