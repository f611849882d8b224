#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const fn limits(void: u64, slash: u64) -> Limits {
    Limits { void, slash }
}

fn cell(tokens_log2: u8, entropy_bin: u8, void: u64) -> Cell {
    Cell {
        tokens_log2,
        entropy_bin,
        units_count: 10,
        clipped_sum_micro: limits(void, 4 * void),
        mismatches_count: limits(2, 8),
    }
}

fn class(id: u16) -> Class {
    Class {
        id: ClassId::new(id),
        name: Text::new("test").unwrap(),
        units_count: 10_000,
        tokens_count: TOKENS_COUNT_MIN,
        margin_micro: limits(100, 400),
        clip_micro: 500_000,
        cells: BoundedVec::new(vec![cell(5, 1, 7), cell(5, 2, 9), cell(6, 0, 8)]).unwrap(),
        evidence_micro: BoundedVec::new(vec![-10, 0, 20]).unwrap(),
        lifetime_micro: limits(9_210_340, 20_723_266),
        toploc: Thresholds::PAPER,
        projections: ProjectionLimits {
            largest_max: 50,
            bulk_max: 9,
        },
    }
}

fn table(classes: Vec<Class>) -> ClassTable {
    ClassTable {
        version: 1,
        classes: BoundedVec::new(classes).unwrap(),
    }
}

#[test]
fn a_measure_at_its_limit_is_within_it() {
    let limits = limits(10, 20);
    let levels = [0, 10, 11, 20, 21].map(|measured| limits.level(measured));
    let expected = [
        Level::Holds,
        Level::Holds,
        Level::Void,
        Level::Void,
        Level::Slash,
    ];
    assert_eq!(levels, expected);
}

#[test]
fn a_unit_finds_the_cell_of_its_length_and_entropy() {
    let class = class(1);
    assert_eq!(class.cell(63, 260_000), cell(5, 1, 7));
    assert_eq!(class.cell(64, 0), cell(6, 0, 8));
    let unlike = class.cell(64, 9_000_000);
    assert_eq!(unlike.clipped_sum_micro, limits(9, u64::MAX));
    assert_eq!(unlike.units_count, 0);
}

#[test]
fn a_score_is_the_bit_length_of_the_mean_margin() {
    let scores = [(0, 5), (5, 5), (9, 5), (10, 5), (u64::MAX, 1), (7, 0)];
    let bins = scores.map(|(sum, tokens)| score_bin(sum, tokens));
    assert_eq!(bins, [0, 1, 1, 2, SCORE_BINS_COUNT - 1, 0]);
    let class = class(1);
    assert_eq!(class.evidence_micro(0, 5), -10);
    assert_eq!(
        class.evidence_micro(u64::MAX, 1),
        20,
        "beyond the table's end"
    );
}

#[test]
fn a_table_lists_the_exact_class_without_saying_so() {
    let table = table(vec![class(1), class(7)]);
    table.check().unwrap();
    assert!(table.lists(ClassId::EXACT) && table.lists(ClassId::new(7)));
    assert!(!table.lists(ClassId::new(2)));
    assert!(table.class(ClassId::EXACT).is_none());
}

#[test]
fn tables_that_mean_nothing_are_refused() {
    let order = |classes| matches!(table(classes).check(), Err(ClassTableError::Order { .. }));
    assert!(order(vec![class(0)]));
    assert!(order(vec![class(2), class(2)]));
    let short = Class {
        tokens_count: TOKENS_COUNT_MIN - 1,
        ..class(1)
    };
    let refused = table(vec![short]).check();
    assert!(matches!(refused, Err(ClassTableError::Tokens { .. })));
    let upside_down = Class {
        margin_micro: limits(2, 1),
        ..class(1)
    };
    let refused = table(vec![upside_down]).check();
    assert!(matches!(
        refused,
        Err(ClassTableError::Limits {
            what: "margins",
            ..
        })
    ));
    let twice = Class {
        cells: BoundedVec::new(vec![cell(5, 1, 7), cell(5, 1, 7)]).unwrap(),
        ..class(1)
    };
    let refused = table(vec![twice]).check();
    assert!(matches!(
        refused,
        Err(ClassTableError::Cells { index: 1, .. })
    ));
}

#[test]
fn a_table_reads_as_it_is_written() {
    let table = table(vec![class(3)]);
    let json = serde_json::to_string(&table).unwrap();
    assert_eq!(serde_json::from_str::<ClassTable>(&json).unwrap(), table);
    let bytes = crate::codec::encode(&table);
    let decoded: ClassTable = crate::codec::decode("class table", &bytes, 1 << 20).unwrap();
    assert_eq!(decoded, table);
}
