//! Rules about rules: parameters, proposals, tally.
