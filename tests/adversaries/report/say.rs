//! The report in words.

use crate::{
    Bot, Compute, auditors::Auditors, conduct::Conducts, damage::Damage, economy::Lives, exact,
    gradients::Gradients, roc::Roc, sabotage::Sabotage, sortition::Draws, statistics::Mean,
    tolerant, tolerant_lives::TolerantLives,
};

fn tokens(mean: Mean) -> String {
    format!("{:+.0} ± {:.0}", mean.mean, mean.half)
}

pub(crate) fn lives(lives: &Lives) {
    println!(
        "lying about {:.2} of rollout units ({:?}): {}/{} lives slashed; {} of {} audits caught, \
         {:.4} [{:.4}, {:.4}] each; audits until caught {:?} (median, p99; {:?} predicted), units \
         {:?}; {} lies used; income {}, gain over honesty {}, {:+.0} at best; {} honest units harmed",
        f64::from(lives.share_micro) / 1e6,
        lives.caution,
        lives.slashed.count,
        lives.slashed.of,
        lives.per_audit.count,
        lives.per_audit.of,
        lives.per_audit.rate(),
        lives.per_audit.low,
        lives.per_audit.high,
        lives.audits,
        lives.audits_predicted,
        lives.units,
        lives.lies_used,
        tokens(lives.income),
        tokens(lives.gain),
        lives.gain_best,
        lives.honest_harmed
    );
}

pub(crate) fn tolerant_lives(one: &TolerantLives) {
    let lives = &one.lives;
    println!(
        "{:18} {}, about {:.2} ({:?}): {}/{} lies void, {}/{} slashed, {:+.2} ± {:.2} nats of \
         evidence each; {}/{} lives with a void unit, after {:?} units (median, p99), {}/{} \
         slashed, after {:?}; {} lies used; income {}; gain over honesty {}, {:+.0} at best, {} if \
         it saves half, {} as measured; {} honest units harmed",
        one.name,
        one.class,
        f64::from(lives.share_micro) / 1e6,
        lives.caution,
        one.void_units.count,
        one.void_units.of,
        one.slashed_units.count,
        one.slashed_units.of,
        one.evidence.mean,
        one.evidence.half,
        lives.voided.count,
        lives.voided.of,
        lives.units_to_void,
        lives.slashed.count,
        lives.slashed.of,
        lives.units,
        lives.lies_used,
        tokens(lives.income),
        tokens(lives.gain),
        lives.gain_best,
        tokens(one.gain_half),
        tokens(one.gain_measured),
        lives.honest_harmed
    );
}

pub(crate) fn auditors(lives: &Auditors) {
    println!(
        "{:18} {} audits in {} lives ({} of others); fined {}, gain over honesty {}; {} of {} lies \
         paid for, which earned their miner {}; {} seats on own units; honest auditors fined {}, \
         honest miners harmed {}",
        lives.name,
        lives.audits,
        lives.lives,
        lives.audits_of_others,
        tokens(lives.fined),
        tokens(lives.gain),
        lives.lies_paid,
        lives.lies,
        tokens(lives.liar_earned),
        lives.own_seats,
        lives.honest_fined,
        lives.honest_harmed
    );
}

pub(crate) fn conduct(lives: &Conducts) {
    println!(
        "{:18} about {:.2}: {}/{} lives removed, after {:?} units (median, p99); {:.1} misdeeds a \
         life, {} paid in all; dealt {:.2} of its share in the last step; gain over honesty {}; \
         the longest step took {} blocks more than the shortest; {} honest units harmed",
        lives.name,
        f64::from(lives.share_micro) / 1e6,
        lives.removed.count,
        lives.removed.of,
        lives.units,
        lives.misdeeds,
        lives.misdeeds_paid,
        lives.dealt_last,
        tokens(lives.gain),
        lives.held_blocks_max,
        lives.honest_harmed
    );
}

pub(crate) fn gradients(bot: &Gradients) {
    println!(
        "{:18} {:6} refused {}/{}, {} without effect; audits of a segment reject {}/{}, [{:.2}, \
         {:.2}], checks of the update {}/{}; by {:?}; effort {:.2} of honest work",
        bot.name,
        bot.form,
        bot.refused.count,
        bot.refused.of,
        bot.without_effect,
        bot.segments.count,
        bot.segments.of,
        bot.segments.low,
        bot.segments.high,
        bot.updates.count,
        bot.updates.of,
        bot.reasons,
        bot.effort
    );
}

pub(crate) fn sabotage(runs: &Sabotage) {
    let percent = runs
        .more
        .iter()
        .map(|more| format!("{:+.2} %", 100.0 * more));
    let percent: Vec<String> = percent.collect();
    println!(
        "{:18} {:6} audited {:?}, out after {:?} of {} steps: loss {:.4?}, {} more than without; \
         the trigger gives the answer in {:?} of {} contexts at most, {:?} at the end",
        runs.name,
        if runs.is_robust { "robust" } else { "mean" },
        runs.audits,
        runs.removed_after,
        runs.steps,
        runs.losses,
        percent.join(", "),
        runs.planted_most,
        runs.contexts,
        runs.planted_last
    );
}

pub(crate) fn damage(damage: &Damage) {
    let share = |mean: Mean| format!("{:+.3} ± {:.3}", -mean.mean, mean.half);
    println!(
        "{:18} {:?}, audited at {:.3}: out after {:?} of {} steps, {:.1} lies learned from; \
         held-out exact match {:.3} at the end, {} against honest; {} while they were there, {} \
         after",
        damage.name,
        damage.standing,
        damage.rate_micro as f64 / 1e6,
        damage.removed_after,
        damage.steps,
        damage.lies_used.mean,
        damage.at_end,
        share(damage.lost_at_end),
        share(damage.lost_before),
        share(damage.lost_after)
    );
}

pub(crate) fn draws(draws: &Draws) {
    println!(
        "{:>3} auditors, stakes {:8}, an audit takes {} stages: {:.3} begin with a unit, after \
         {:.0} blocks ({} in 99 of 100 units); {:.2} % of units fall back to three",
        draws.auditors,
        draws.stakes,
        draws.audit_stages,
        draws.auditors_mean,
        draws.blocks_mean,
        draws.blocks_p99,
        100.0 * draws.fallbacks
    );
}

pub(crate) fn honest(honest: &exact::Honest) {
    println!(
        "honest, exact: {} rollouts ({} units, {} tokens), {} false voids: at most {:.1} per \
         million rollouts with 95 % confidence",
        honest.rollouts,
        honest.units,
        honest.tokens,
        honest.false_voids,
        honest.bound_per_million_rollouts
    );
}

pub(crate) fn tolerant(honest: &tolerant::Honest) {
    println!(
        "honest, {}: calibrated on {} tokens ({} units); of {} other rollouts ({} units, {} \
         tokens, {} mismatches) {} units void, {} void by TOPLOC, {} slashed, {} by the lifetime",
        honest.class,
        honest.calibration_tokens,
        honest.calibration_units,
        honest.rollouts,
        honest.units,
        honest.tokens,
        honest.mismatches,
        honest.false_voids,
        honest.toploc_false_voids,
        honest.false_slashes,
        honest.lifetime_slashes
    );
}

/// What of an adversary's units and responses is above thresholds that honest work gives.
fn powers(roc: &Roc) {
    for (what, points) in [("unit", &roc.units), ("response", &roc.responses)] {
        let words = points.iter().map(|point| match point.power {
            Some(power) => format!(
                "{:.0e}: {:.3} [{:.3}, {:.3}]",
                point.rate,
                power.rate(),
                power.low,
                power.high
            ),
            None => format!("{:.0e}: not measured", point.rate),
        });
        let words: Vec<String> = words.collect();
        println!(
            "{:20}power by {what} at false alarms {}",
            "",
            words.join(", ")
        );
    }
    println!(
        "{:20}area under the curve by response {:.4}",
        "", roc.area_responses
    );
}

/// Verifier time as a share of generation time, by the formula of spec/06-sample §5.
pub(crate) fn compute(compute: &Compute) {
    println!(
        "an audit takes {:.3} of the time that its unit took; at a rate of {:.3}, {:.2} auditors a \
         unit and {:.3} planted faults, {:.2} % of generation",
        compute.cost,
        compute.rate,
        compute.auditors,
        compute.plants,
        100.0 * compute.share
    );
}

pub(crate) fn bot(bot: &Bot) {
    let exact::Caught {
        caught,
        without_effect,
        reasons,
        toploc_alone,
        loss_alone,
        saved,
        audit_cost,
    } = &bot.exact;
    println!(
        "{:18} {:>3}/{:<3} caught [{:.3}, {:.3}] by {reasons:?}; {without_effect} without effect; \
         TOPLOC alone {:.2}, loss alone {:.2}; saves {saved:.2} of the cost; \
         its audit costs {audit_cost:.2} of an honest unit's",
        bot.name,
        caught.count,
        caught.of,
        caught.low,
        caught.high,
        toploc_alone.rate(),
        loss_alone.rate()
    );
    for one in &bot.tolerant {
        println!(
            "{:18} {}: {} of {} units void, {} slashed; tokens to void {:?}, to slash {:?}, by the \
             lifetime {:?}",
            "",
            one.class,
            one.void_units,
            one.units,
            one.slashed_units,
            one.void_tokens,
            one.slash_tokens,
            one.lifetime_tokens
        );
        powers(&one.roc);
    }
    for money in &bot.money {
        println!(
            "{:18} {:?} at {:.2}: income {}, gain over honesty {}",
            "",
            money.caution,
            f64::from(money.share_micro) / 1e6,
            tokens(money.income),
            tokens(money.gain)
        );
    }
}
