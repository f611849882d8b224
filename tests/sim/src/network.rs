//! Ways between nodes: every one takes its own time, some lose, some deliver twice.

use crate::{Liar, Plan};
use rand::{Rng as _, rngs::StdRng};

/// The state of the wires.
#[derive(Debug)]
pub(crate) struct Network {
    delay_ms: (u64, u64),
    loss: u32,
    duplicates: u32,
    /// Those that are apart now, with the number of the fault.
    apart: Vec<(usize, Vec<bool>)>,
    /// By node: which twin of each pair of twins it hears; twins by their two nodes.
    twins: Vec<(usize, usize)>,
    hears_second: Vec<bool>,
}

impl Network {
    pub(crate) fn new(plan: &Plan, random: &mut StdRng) -> Self {
        let lies = |(_, liar): &&(usize, Liar)| *liar == Liar::Twin;
        let twins = plan.liars.iter().filter(lies).map(|(node, _)| *node);
        let twins = twins.zip(plan.stakes.len()..).collect();
        Self {
            delay_ms: plan.delay_ms,
            loss: plan.loss,
            duplicates: plan.duplicates,
            apart: Vec::new(),
            twins,
            hears_second: (0..plan.nodes_count()).map(|_| random.r#gen()).collect(),
        }
    }

    pub(crate) fn part(&mut self, number: usize, sides: Vec<bool>) {
        self.apart.push((number, sides));
    }

    pub(crate) fn join(&mut self, number: usize) {
        self.apart.retain(|(other, _)| *other != number);
    }

    /// From now on nothing is lost, doubled or apart. Twins stay heard as they are.
    pub(crate) fn heal(&mut self) {
        self.loss = 0;
        self.duplicates = 0;
        self.apart.clear();
    }

    /// When a message arrives, in microseconds from now: never, once or twice.
    pub(crate) fn ways(&self, from: usize, to: usize, random: &mut StdRng) -> Vec<u64> {
        let is_apart = |(_, sides): &(usize, Vec<bool>)| sides[from] != sides[to];
        if from == to || !self.hear_one_another(from, to) || self.apart.iter().any(is_apart) {
            return Vec::new();
        }
        let mut ways = Vec::new();
        if random.gen_range(0..1_000) >= self.loss {
            ways.push(self.delay_us(random));
            if random.gen_range(0..1_000) < self.duplicates {
                ways.push(self.delay_us(random));
            }
        }
        ways
    }

    /// Nobody hears both of two twins, and they do not hear each other.
    fn hear_one_another(&self, one: usize, other: usize) -> bool {
        self.twins.iter().all(|(first, second)| {
            let is_twin = |node: usize| node == *first || node == *second;
            match (is_twin(one), is_twin(other)) {
                (true, true) => false,
                (true, false) => self.hears_second[other] == (one == *second),
                (false, true) => self.hears_second[one] == (other == *second),
                (false, false) => true,
            }
        })
    }

    /// Who of all nodes hears the second twins.
    pub(crate) fn set_hearing(&mut self, hears_second: Vec<bool>) {
        self.hears_second = hears_second;
    }

    fn delay_us(&self, random: &mut StdRng) -> u64 {
        let (least, most) = self.delay_ms;
        // Most are quick, some are late.
        let most = if random.gen_bool(0.9) {
            least + (most - least) / 3
        } else {
            most
        };
        random.gen_range(least * 1_000..=most * 1_000)
    }
}
