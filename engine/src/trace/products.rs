//! The products of a trace by the engine's kernels: nearly all of its work.

use crate::arithmetic::gemm::{Packed, Start, View, multiply};
use crate::arithmetic::threads::Threads;
use engine_trace::{Kind, Model, Numbers, Shortcuts, Tensor, Trace};

/// Computes products whole.
pub(super) struct Products<'a> {
    threads: &'a Threads,
    packed: Packed,
}

/// What a product multiplies.
enum Product {
    /// `x Wᵀ` with the weight at a place.
    Forward(Tensor, u64),
    /// `dy W`.
    Back(Tensor, u64),
    /// `dyᵀ x`, on top of the gradient before the part.
    Weight(Tensor, Tensor),
}

impl<'a> Products<'a> {
    pub(super) fn new(threads: &'a Threads) -> Self {
        Self {
            threads,
            packed: Packed::default(),
        }
    }

    fn run(&mut self, a: View<'_>, b: View<'_>, c: Option<Vec<f32>>) -> Vec<f32> {
        self.packed.pack(self.threads.kernels(), b);
        let start = if c.is_some() {
            Start::Output
        } else {
            Start::Zero
        };
        let mut c = c.unwrap_or_else(|| vec![0.0; a.rows * b.columns]);
        multiply(self.threads, a, &self.packed, &mut c, start);
        c
    }
}

impl Shortcuts for Products<'_> {
    fn threads_count(&self) -> usize {
        self.threads.count()
    }
    fn compute(&mut self, trace: &Trace, tensor: Tensor) -> Option<Numbers> {
        if tensor.kind == Kind::EmbeddingSum {
            return embedding_sum(trace, tensor);
        }
        let shape = |tensor| {
            let (rows, columns) = trace.program().shape(tensor);
            Some((usize::try_from(rows).ok()?, usize::try_from(columns).ok()?))
        };
        let (rows, columns) = shape(tensor)?;
        let program = trace.program();
        let weights = singles(trace, program.weights(tensor))?;
        let product = product(program.model(), tensor)?;
        if shape(program.tokens(tensor))?.0 == 0 {
            return None;
        }
        let place = |place: u64| usize::try_from(place).ok();
        let c = match product {
            Product::Forward(x, at) => {
                let depth = shape(x)?.1;
                let x = View::new(singles(trace, x)?, rows, depth);
                let w = View::new(weights.get(place(at)?..)?, columns, depth);
                self.run(x, w.transposed(), None)
            }
            Product::Back(dy, at) => {
                let depth = shape(dy)?.1;
                let dy = View::new(singles(trace, dy)?, rows, depth);
                let w = View::new(weights.get(place(at)?..)?, depth, columns);
                self.run(dy, w, None)
            }
            Product::Weight(dy, x) => {
                let depth = shape(x)?.0;
                let before = before(trace, tensor).map(<[f32]>::to_vec);
                let dy = View::new(singles(trace, dy)?, depth, rows);
                let x = View::new(singles(trace, x)?, depth, columns);
                self.run(dy.transposed(), x, before)
            }
        };
        Some(Numbers::Single(c))
    }
}

fn singles(trace: &Trace, tensor: Tensor) -> Option<&[f32]> {
    match trace.numbers(tensor)? {
        Numbers::Single(numbers) => Some(numbers),
        Numbers::Double(_) | Numbers::Word(_) => None,
    }
}

/// What the gradient was before the part.
fn before(trace: &Trace, tensor: Tensor) -> Option<&[f32]> {
    let program = trace.program();
    let kind = match tensor.kind {
        Kind::HeadGradient if program.model().is_tied => Kind::EmbeddingGradient,
        kind => kind,
    };
    let (before, first) = program.gradient_before(Tensor { kind, ..tensor })?;
    let first = usize::try_from(first).ok()?;
    let length = usize::try_from(program.length(tensor)).ok()?;
    singles(trace, before)?.get(first..first.checked_add(length)?)
}

fn product(model: &Model, tensor: Tensor) -> Option<Product> {
    let own = |kind| Tensor { kind, ..tensor };
    let of_part = |kind| Tensor {
        layer: 0,
        ..own(kind)
    };
    let above = if tensor.layer + 1 == model.layers_count {
        of_part(Kind::TopSlope)
    } else {
        Tensor {
            layer: tensor.layer + 1,
            ..own(Kind::ResidualSlope)
        }
    };
    let projected = own(if model.has_head_norms {
        Kind::ProjectedSlope
    } else {
        Kind::UnrotatedSlope
    });
    let layer = model.places(tensor.layer);
    Some(match tensor.kind {
        Kind::Qkv => Product::Forward(own(Kind::Norm1), layer.qkv),
        Kind::AttentionOut => Product::Forward(own(Kind::Mixed), layer.out),
        Kind::GateUp => Product::Forward(own(Kind::Norm2), layer.gate_up),
        Kind::Down => Product::Forward(own(Kind::Gated), layer.down),
        Kind::Logits => Product::Forward(own(Kind::Hidden), model.head_place()),
        Kind::HiddenSlope => Product::Back(own(Kind::Slope), model.head_place()),
        Kind::GatedSlope => Product::Back(above, layer.down),
        Kind::Norm2Slope => Product::Back(own(Kind::GateUpSlope), layer.gate_up),
        Kind::MixedSlope => Product::Back(own(Kind::MiddleSlope), layer.out),
        Kind::Norm1Slope => Product::Back(projected, layer.qkv),
        Kind::HeadGradient => Product::Weight(own(Kind::Slope), own(Kind::Hidden)),
        Kind::DownGradient => Product::Weight(above, own(Kind::Gated)),
        Kind::GateUpGradient => Product::Weight(own(Kind::GateUpSlope), own(Kind::Norm2)),
        Kind::OutGradient => Product::Weight(own(Kind::MiddleSlope), own(Kind::Mixed)),
        Kind::QkvGradient => Product::Weight(projected, own(Kind::Norm1)),
        _ => return None,
    })
}

/// Rows are added to their token's, which by its definition looks at all rows.
fn embedding_sum(trace: &Trace, tensor: Tensor) -> Option<Numbers> {
    let (rows, columns) = trace.program().shape(tensor);
    let width = usize::try_from(columns).ok()?;
    let mut sums = vec![0.0_f32; usize::try_from(rows).ok()? * width];
    let of_part = |kind| Tensor {
        layer: 0,
        kind,
        ..tensor
    };
    let Numbers::Word(tokens) = trace.numbers(trace.program().tokens(tensor))? else {
        return None;
    };
    let slopes = singles(trace, of_part(Kind::ResidualSlope))?;
    for (token, slopes) in tokens.iter().zip(slopes.chunks_exact(width)) {
        let first = usize::try_from(*token).ok()? * width;
        for (sum, slope) in sums.get_mut(first..first + width)?.iter_mut().zip(slopes) {
            *sum += slope;
        }
    }
    Some(Numbers::Single(sums))
}
