//! Sections of rollout units, which a miner opens during an audit.

use crate::Decoder;
use protocol::{
    codec::{BoundedVec, Bytes},
    rollout::{Section, Sections},
};

pub(crate) const DECODER: Decoder = Decoder {
    name: "rollout_sections",
    run,
    seeds: || {
        let bytes = |length: u8| (0..length).collect::<Vec<u8>>();
        let section = |tokens: u8| Section {
            proofs: BoundedVec::new(vec![Bytes::new(bytes(30)).unwrap()]).unwrap(),
            projections: Bytes::new(bytes(8 * tokens)).unwrap(),
        };
        let group = |tokens| BoundedVec::new(vec![section(tokens), section(3)]).unwrap();
        let sections = |groups| Sections {
            groups: BoundedVec::new(groups).unwrap(),
        };
        let whole = sections(vec![group(1), group(2)]);
        vec![whole.encode(), sections(Vec::new()).encode()]
    },
};

fn run(bytes: &[u8]) {
    if let Ok(sections) = Sections::decode(bytes) {
        assert_eq!(sections.encode(), bytes);
        let groups = sections.groups.as_slice().len();
        assert_eq!(sections.parts().as_slice().len(), groups);
        let _sketch = sections.sketch();
        let _first = sections.get(0, 0);
    }
}
