//! Tables of tolerant classes, as a calibration writes and a genesis lists them.

use crate::Decoder;
use protocol::{
    class::{Cell, Class, ClassId, ClassTable, Limits, ProjectionLimits, TOKENS_COUNT_MIN},
    codec::{BoundedVec, Text, decode, encode},
    proof::toploc::Thresholds,
};

pub(crate) const DECODER: Decoder = Decoder {
    name: "class_table",
    run,
    seeds: || {
        let json = serde_json::to_vec(&table()).unwrap();
        vec![json, encode(&table())]
    },
};

fn table() -> ClassTable {
    let limits = Limits {
        void: 100,
        slash: 400,
    };
    let cell = Cell {
        tokens_log2: 5,
        entropy_bin: 1,
        units_count: 10,
        clipped_sum_micro: limits,
        mismatches_count: limits,
    };
    let class = Class {
        id: ClassId::new(1),
        name: Text::new("seed").unwrap(),
        units_count: 10_000,
        tokens_count: TOKENS_COUNT_MIN,
        margin_micro: limits,
        clip_micro: 500_000,
        cells: BoundedVec::new(vec![cell]).unwrap(),
        evidence_micro: BoundedVec::new(vec![-10, 0, 20]).unwrap(),
        lifetime_micro: limits,
        toploc: Thresholds::PAPER,
        projections: ProjectionLimits {
            largest_max: 50,
            bulk_max: 9,
        },
    };
    ClassTable {
        version: 1,
        classes: BoundedVec::new(vec![class]).unwrap(),
    }
}

fn run(bytes: &[u8]) {
    if let Ok(table) = decode::<ClassTable>("class table", bytes, 1 << 20) {
        assert_eq!(encode(&table), bytes);
        used(&table);
    }
    if let Ok(table) = serde_json::from_slice::<ClassTable>(bytes) {
        used(&table);
    }
}

/// Whatever a table holds, judging by it fails for no unit.
fn used(table: &ClassTable) {
    let checked = table.check();
    for class in table.classes.as_slice() {
        assert!(checked.is_err() || table.lists(class.id));
        for number in [0, 1, 31, 1_000_000, u64::MAX] {
            let _cell = class.cell(number, number.rotate_left(7));
            let _evidence = class.evidence_micro(number, number.rotate_right(3));
        }
    }
}
