//! Rewards, splits and pinned draws of every environment, and of the corpus.
#![allow(clippy::unwrap_used, reason = "tests")]

use environment::{
    Addition, Corpus, END_OF_SEQUENCE, Environment, Reward, SortDigits, Split, all, by_hash,
    by_name, bytes_of, tokens_of,
};
use proptest::prelude::{any, prop, proptest};

fn seed(index: u32) -> [u8; 32] {
    *blake3::hash(&index.to_le_bytes()).as_bytes()
}

fn text(tokens: &[u32]) -> String {
    String::from_utf8(bytes_of(tokens).unwrap()).unwrap()
}

#[test]
fn rewards_follow_the_table() {
    let table: &[(&str, &str, u32)] = &[
        ("31415926=", "11234569\0", 1_000_000),
        ("31415926=", "11234569", 500_000),
        ("31415926=", "11234568\0", 437_500),
        ("31415926=", "11234569X", 500_000),
        ("31415926=", "1123\0", 250_000),
        ("31415926=", "1123\x004569", 250_000),
        ("31415926=", "\0", 0),
        ("31415926=", "", 0),
        ("31415926=", "99999999\0", 62_500),
        ("31415926=", "96543211\0", 0),
        ("31415926=", "112345699\0", 0),
        ("00000000=", "00000000\0", 1_000_000),
        ("3141592=", "1123459\0", 0),
        ("31415926", "11234569\0", 0),
        ("3141592x=", "1123459x\0", 0),
        ("", "", 0),
    ];
    for &(prompt, response, millionths) in table {
        let reward = SortDigits::EIGHT.reward(
            &tokens_of(prompt.as_bytes()),
            &tokens_of(response.as_bytes()),
        );
        assert_eq!(reward.millionths(), millionths, "{prompt:?} {response:?}");
        assert_eq!(
            reward.is_exact(),
            millionths == 1_000_000,
            "{prompt:?} {response:?}"
        );
    }
}

#[test]
fn sums_keep_their_zeros() {
    for (prompt, answer) in [
        ("1234+8877=", "10111\0"),
        ("0012+0030=", "00042\0"),
        ("9999+9999=", "19998\0"),
    ] {
        let answer_tokens = Addition::FOUR
            .answer(&tokens_of(prompt.as_bytes()))
            .unwrap();
        assert_eq!(text(&answer_tokens), answer);
    }
    for prompt in [
        "123+45678=",
        "12345+678=",
        "1234+567=",
        "1234-5678=",
        "12x4+5678=",
        "=",
    ] {
        assert_eq!(
            Addition::FOUR.answer(&tokens_of(prompt.as_bytes())),
            None,
            "{prompt}"
        );
    }
}

#[test]
fn draws_are_pinned() {
    let drawn: Vec<String> = all()
        .iter()
        .flat_map(|environment| {
            [
                hex(&environment.hash()),
                text(&environment.prompt(&seed(0), Split::Train)),
                text(&environment.prompt(&seed(0), Split::HeldOut)),
                text(&environment.demonstration(&seed(1))),
            ]
        })
        .collect();
    assert_eq!(drawn, PINNED);
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn every_environment_is_found_by_its_hash_and_name() {
    for environment in all() {
        assert_eq!(
            by_hash(&environment.hash()).unwrap().name(),
            environment.name()
        );
        assert_eq!(
            by_name(environment.name()).unwrap().hash(),
            environment.hash()
        );
    }
    assert!(by_hash(&[0; 32]).is_none());
    assert!(by_name("chess").is_none());
}

#[test]
fn held_out_prompts_never_occur_in_training() {
    for environment in all() {
        for index in 0..500 {
            let train = environment.prompt(&seed(index), Split::Train);
            let held_out = environment.prompt(&seed(index), Split::HeldOut);
            assert_eq!(environment.split(&train), Split::Train);
            assert_eq!(environment.split(&held_out), Split::HeldOut);
        }
    }
}

#[test]
fn one_prompt_in_sixteen_is_held_out() {
    let held_out_count = (0..16_000_u32)
        .filter(|number| {
            let prompt = tokens_of(format!("{number:08}=").as_bytes());
            SortDigits::EIGHT.split(&prompt) == Split::HeldOut
        })
        .count();
    assert!((880..1120).contains(&held_out_count), "{held_out_count}");
}

#[test]
fn demonstrations_are_exact() {
    for environment in all() {
        for index in 0..100 {
            let tokens = environment.demonstration(&seed(index));
            let (prompt, response) = tokens.split_at(environment.prompt_tokens());
            assert_eq!(environment.reward(prompt, response), Reward::EXACT);
            assert_eq!(response.last(), Some(&END_OF_SEQUENCE));
            assert_eq!(response.len(), environment.response_tokens_max());
        }
    }
}

#[test]
fn corpus_is_pinned_and_ascii() {
    let corpus = Corpus::shakespeare();
    assert_eq!(hex(&corpus.hash()), CORPUS_HASH);
    let train = corpus.part(Split::Train);
    let held_out = corpus.part(Split::HeldOut);
    assert_eq!(held_out.len(), (train.len() + held_out.len()) / 16);
    assert!(
        train
            .iter()
            .chain(held_out)
            .all(|&byte| byte == b'\n' || (32..127).contains(&byte))
    );
    assert_eq!(
        Corpus::by_hash(&corpus.hash()).unwrap().name(),
        "shakespeare"
    );
    assert!(Corpus::by_hash(&[1; 32]).is_none());
}

#[test]
fn corpus_slices_stay_inside_their_part() {
    let corpus = Corpus::shakespeare();
    for split in [Split::Train, Split::HeldOut] {
        let part = corpus.part(split).as_ptr_range();
        for index in 0..200 {
            let slice = corpus.slice(&seed(index), 64, split);
            assert_eq!(slice.len(), 64);
            let slice = slice.as_ptr_range();
            assert!(part.start <= slice.start && slice.end <= part.end);
        }
        assert_eq!(
            corpus.slice(&seed(0), usize::MAX, split),
            corpus.part(split)
        );
        assert!(corpus.slice(&seed(0), 0, split).is_empty());
    }
    assert_eq!(
        String::from_utf8_lossy(corpus.slice(&seed(0), 24, Split::Train)),
        CORPUS_SLICE,
        "the slice of a seed is pinned"
    );
}

#[test]
fn validation_rows_cover_the_held_out_part() {
    let corpus = Corpus::shakespeare();
    let rows: Vec<Vec<u32>> = corpus.validation_rows(64).collect();
    assert_eq!(rows.len(), corpus.part(Split::HeldOut).len() / 64);
    assert!(rows.iter().all(|row| row.len() == 64));
    assert_eq!(corpus.validation_rows(0).next().unwrap().len(), 1);
}

proptest! {
    #[test]
    fn hostile_responses_never_panic(
        prompt in prop::collection::vec(any::<u32>(), 0..24),
        response in prop::collection::vec(any::<u32>(), 0..24),
        seed in any::<[u8; 32]>(),
    ) {
        for environment in all() {
            assert_eq!(environment.reward(&prompt, &response), Reward::ZERO);
            let prompt = environment.prompt(&seed, Split::Train);
            assert!(environment.reward(&prompt, &response).millionths() <= 500_000);
        }
    }

    #[test]
    fn only_the_answer_is_exact(
        seed in any::<[u8; 32]>(),
        position in 0_usize..9,
        token in prop::option::of(0_u32..300),
    ) {
        for environment in all() {
            let prompt = environment.prompt(&seed, Split::HeldOut);
            let answer = environment.answer(&prompt).unwrap();
            let mut response = answer.clone();
            match token {
                Some(token) => response.insert(position.min(answer.len()), token),
                None => drop(response.remove(position.min(answer.len() - 1))),
            }
            assert!(!environment.reward(&prompt, &response).is_exact());
            assert!(environment.reward(&prompt, &answer).is_exact());
        }
    }
}

const CORPUS_HASH: &str = "aacfbe9213763220a71304ac12ed071ce451832df682ec4b8558269130b68c71";
const CORPUS_SLICE: &str = "ot butchers, Caius.\nWe a";

/// Per environment: the hash, a training prompt, a held-out prompt, a demonstration.
const PINNED: [&str; 12] = [
    "42ac863b9241457fc1303c1cd7b122ced1f60546d8afee547afca372619b555a",
    "23968079=",
    "04841085=",
    "34659036=03345669\0",
    "36103dd2d8ac5983f26b78d9685ecc1df8bd7283fbcc9780aae5852c010e773a",
    "9005=",
    "6834=",
    "9243=2349\0",
    "6243eb35a9222e22eb50a28490c4d476a638cc7ffb2db65552907247dc58cf1b",
    "4319+0296=",
    "6402+6486=",
    "2680+5910=08590\0",
];
