//! The rules of a negotiation, from both sides.

#![allow(clippy::too_many_lines, reason = "transcripts")]

use bowline_multistream::{
    Dialer, Listener, MAX_TOKEN, MAX_TOKENS, MAX_TOTAL, Message, NegotiationError, ProtocolId,
};
use bytes::BytesMut;
use proptest::prelude::*;

const NOISE: ProtocolId = ProtocolId::from_static("/noise");
const TLS: ProtocolId = ProtocolId::from_static("/tls/1.0.0");
const HEADER: &str = "/multistream/1.0.0";

/// The texts as messages, one behind the other.
fn wire(texts: &[&str]) -> BytesMut {
    texts.iter().flat_map(|text| Message::Protocol((*text).to_owned()).encode()).collect()
}

fn speaks_noise(name: &str) -> bool {
    name == "/noise"
}

/// What a side has to say.
fn said(mut poll: impl FnMut() -> Option<bytes::Bytes>) -> Vec<String> {
    let mut out = BytesMut::new();
    while let Some(message) = poll() {
        out.extend_from_slice(&message);
    }
    let mut texts = Vec::new();
    while let Some(message) = Message::take(&mut out).unwrap() {
        texts.push(match message {
            Message::Header => HEADER.to_owned(),
            Message::NotAvailable => "na".to_owned(),
            Message::Protocol(protocol) => protocol,
            other => panic!("neither side says {other:?}"),
        });
    }
    texts
}

/// A listener that speaks noise hears `texts`; what it says, and whether it agreed.
fn listen(input: &mut BytesMut) -> (Result<bool, NegotiationError>, Vec<String>) {
    let mut listener = Listener::new();
    let heard = listener.handle_input(input, &speaks_noise);
    let agreed = heard.map(|proposal| proposal.is_some());
    listener.accept();
    (agreed, said(|| listener.poll_message()))
}

/// A dialer that offers noise hears `texts`.
fn dial(texts: &[&str]) -> Result<Option<ProtocolId>, NegotiationError> {
    Dialer::new(vec![NOISE]).handle_input(&mut wire(texts))
}

// spec: mss/header-first, mss/pipelined-header-proposal
#[test]
fn a_dialer_has_its_header_and_first_proposal_at_once() {
    let mut dialer = Dialer::new(vec![TLS, NOISE]);
    assert_eq!(said(|| dialer.poll_message()), [HEADER, "/tls/1.0.0"]);
}

#[test]
fn each_message_comes_out_on_its_own() {
    let mut dialer = Dialer::new(vec![NOISE]);
    assert_eq!(&dialer.poll_message().unwrap()[..], b"\x13/multistream/1.0.0\n");
    assert_eq!(&dialer.poll_message().unwrap()[..], b"\x07/noise\n");
    assert_eq!(dialer.poll_message(), None);
}

// spec: mss/simultaneous-header
#[test]
fn a_header_alone_is_answered_with_a_header() {
    let (agreed, said) = listen(&mut wire(&[HEADER]));
    assert_eq!((agreed, said), (Ok(false), vec![HEADER.to_owned()]));
    assert_eq!(dial(&[HEADER]), Ok(None), "a header that comes early is as good");
}

// spec: mss/echo, mss/no-byte-loss-after-select, mss/pipelined-payload
#[test]
fn a_proposal_is_echoed_and_what_follows_it_is_left() {
    let mut input = wire(&[HEADER, "/noise"]);
    input.extend_from_slice(b"\x13/not a message");
    let (agreed, said) = listen(&mut input);
    assert_eq!((agreed, said), (Ok(true), vec![HEADER.to_owned(), "/noise".to_owned()]));
    assert_eq!(&input[..], b"\x13/not a message");
}

#[test]
fn what_follows_the_echo_is_left() {
    let mut input = wire(&[HEADER, "/noise"]);
    input.extend_from_slice(b"\xff\xff");
    let mut dialer = Dialer::new(vec![NOISE]);
    assert_eq!(dialer.handle_input(&mut input), Ok(Some(NOISE)));
    assert_eq!(&input[..], b"\xff\xff");
}

// spec: mss/na, mss/na-then-retry
#[test]
fn three_unknown_protocols_are_refused_and_the_fourth_is_agreed_on() {
    let (agreed, said) = listen(&mut wire(&[HEADER, "/a", "/b", "/c", "/noise"]));
    assert_eq!(agreed, Ok(true));
    assert_eq!(said, [HEADER, "na", "na", "na", "/noise"]);
}

// spec: mss/initiator-next-after-na
#[test]
fn a_dialer_proposes_in_order_until_one_is_agreed_on() {
    let mut dialer = Dialer::new(vec![TLS, NOISE]);
    said(|| dialer.poll_message());
    assert_eq!(dialer.handle_input(&mut wire(&[HEADER, "na"])), Ok(None));
    assert_eq!(said(|| dialer.poll_message()), ["/noise"]);
    assert_eq!(dialer.handle_input(&mut wire(&["/noise"])), Ok(Some(NOISE)));
}

#[test]
fn a_dialer_that_is_refused_everything_says_what_it_offered() {
    let mut dialer = Dialer::new(vec![TLS, NOISE]);
    let refused = Err(NegotiationError::Refused { offered: vec![TLS, NOISE] });
    assert_eq!(dialer.handle_input(&mut wire(&[HEADER, "na", "na"])), refused);
    assert_eq!(dialer.handle_input(&mut wire(&["/noise"])), refused, "the error stays");
}

#[test]
fn a_dialer_without_protocols_is_refused_at_once() {
    let refused = Err(NegotiationError::Refused { offered: Vec::new() });
    assert_eq!(Dialer::new(Vec::new()).handle_input(&mut BytesMut::new()), refused);
}

// spec: mss/wrong-header, mss/no-header
#[test]
fn anything_else_than_the_header_first_ends_the_negotiation() {
    for texts in [&["/multistream/2.0.0"][..], &["/noise"], &["na"], &["ls"], &["/multistream/1.0.0 "]] {
        let (agreed, said) = listen(&mut wire(texts));
        assert_eq!((agreed, said), (Err(NegotiationError::WrongHeader), Vec::new()), "{texts:?}");
        assert_eq!(dial(texts), Err(NegotiationError::WrongHeader), "{texts:?}");
    }
}

// spec: mss/duplicate-header, mss/ls-optional, mss/initiator-sends-na, mss/no-leading-slash, mss/simopen-na
#[test]
fn what_is_no_proposal_of_ours_is_answered_with_na() {
    for text in [HEADER, "ls", "na", "foo", "", "/libp2p/simultaneous-connect"] {
        let (agreed, said) = listen(&mut wire(&[HEADER, text, "/noise"]));
        assert_eq!(agreed, Ok(true), "{text:?}");
        assert_eq!(said, [HEADER, "na", "/noise"], "{text:?}");
    }
    let mut input = wire(&[HEADER]);
    input.extend_from_slice(&Message::Protocols(vec!["/noise".into()]).encode());
    assert_eq!(listen(&mut input), (Ok(false), vec![HEADER.to_owned(), "na".to_owned()]));
}

// spec: mss/exact-match
#[test]
fn a_protocol_is_matched_byte_by_byte() {
    for text in ["/noise ", "/noise\r", "/Noise", "/noise/", " /noise", "noise"] {
        let (agreed, said) = listen(&mut wire(&[HEADER, text]));
        assert_eq!((agreed, said), (Ok(false), vec![HEADER.to_owned(), "na".to_owned()]), "{text:?}");
        let unexpected = NegotiationError::UnexpectedAnswer { proposed: NOISE };
        assert_eq!(dial(&[HEADER, text]), Err(unexpected), "{text:?}");
    }
}

// spec: mss/initiator-wrong-echo, mss/initiator-junk-answer
#[test]
fn a_dialer_takes_its_proposal_or_na_for_an_answer_and_nothing_else() {
    for answer in ["/tls/1.0.0", "maybe", "ls", HEADER, ""] {
        let unexpected = NegotiationError::UnexpectedAnswer { proposed: NOISE };
        assert_eq!(dial(&[HEADER, answer]), Err(unexpected), "{answer:?}");
    }
}

#[test]
fn a_dialer_does_not_take_an_earlier_proposal_for_the_answer_to_a_later_one() {
    let mut dialer = Dialer::new(vec![TLS, NOISE]);
    let answers = dialer.handle_input(&mut wire(&[HEADER, "na", "/tls/1.0.0"]));
    assert_eq!(answers, Err(NegotiationError::UnexpectedAnswer { proposed: NOISE }));
}

// spec: mss/no-newline, mss/empty-message, mss/bad-utf8, uvarint/reject-nonminimal, uvarint/reject-over-9-bytes
#[test]
fn malformed_messages_end_both_sides() {
    let malformed = [
        &b"\x00"[..],
        b"\x06/noise",
        b"\x08/noise\nX",
        b"\x08/noise\n\n",
        b"\x03\xff\xfe\n",
        b"\x87\x00/noise\n",
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    ];
    for bytes in malformed {
        let mut input = wire(&[HEADER]);
        input.extend_from_slice(bytes);
        let at_dialer = Dialer::new(vec![NOISE]).handle_input(&mut input.clone()).unwrap_err();
        let mut listener = Listener::new();
        let at_listener = listener.handle_input(&mut input, &speaks_noise).unwrap_err();
        assert_eq!(at_dialer, at_listener, "{bytes:?}");
        assert!(!matches!(at_listener, NegotiationError::WrongHeader), "{bytes:?}");
        let again = listener.handle_input(&mut wire(&["/noise"]), &speaks_noise);
        assert_eq!(again, Err(at_listener), "the error stays");
    }
    let first = listen(&mut BytesMut::from(&b"\x94\x00/multistream/1.0.0\n"[..]));
    assert!(first.0.is_err() && first.1.is_empty());
}

// spec: uvarint/huge-length-bounded, mss/limit, mss/long-id, uvarint/two-byte-length
#[test]
fn long_ids_are_refused_politely_up_to_the_limit_and_longer_ones_by_their_length_alone() {
    for len in [140, 200, 255, 1000, MAX_TOKEN - 1] {
        let (agreed, said) = listen(&mut wire(&[HEADER, &"a".repeat(len)]));
        assert_eq!((agreed, said), (Ok(false), vec![HEADER.to_owned(), "na".to_owned()]), "{len} bytes");
    }
    for (prefix, len) in [
        (&[0x81, 0x08][..], 1025),
        (&[0xff, 0x7f], 16_383),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40], 1 << 62),
    ] {
        let mut input = wire(&[HEADER]);
        input.extend_from_slice(prefix);
        assert_eq!(listen(&mut input).0, Err(NegotiationError::TokenTooLong { len }));
    }
}

// spec: mss/na-limit
#[test]
fn a_dialer_may_send_64_tokens_and_no_more() {
    let mut texts = vec![HEADER];
    texts.resize(MAX_TOKENS - 1, "/none");
    let with = |last: &[&'static str]| listen(&mut wire(&[&texts[..], last].concat()));
    assert_eq!(with(&["/noise"]).0, Ok(true));
    assert_eq!(with(&["/none", "/noise"]).0, Err(NegotiationError::TooManyTokens));
}

#[test]
fn a_dialer_may_send_16_kib_and_no_more() {
    let long = "a".repeat(MAX_TOKEN - 1);
    let whole = MAX_TOTAL / (MAX_TOKEN + 2);
    let mut texts = vec![HEADER];
    texts.resize(1 + whole, &long);
    let used = wire(&texts).len();
    let rest = "b".repeat(MAX_TOTAL - used - 3);
    texts.push(&rest);
    assert_eq!(wire(&texts).len(), MAX_TOTAL);
    assert_eq!(listen(&mut wire(&texts)).0, Ok(false));
    texts.push("c");
    assert_eq!(listen(&mut wire(&texts)).0, Err(NegotiationError::TooManyBytes));
}

#[test]
fn a_proposal_waits_for_the_decision_and_may_be_refused() {
    let mut listener = Listener::new();
    let mut input = wire(&[HEADER, "/noise", "/tls/1.0.0"]);
    let any = |_: &str| true;
    assert_eq!(listener.handle_input(&mut input, &any), Ok(Some(NOISE)));
    assert_eq!(said(|| listener.poll_message()), [HEADER], "no echo before the decision");
    assert_eq!(
        listener.handle_input(&mut input, &any),
        Ok(Some(NOISE)),
        "the same proposal, until it is decided"
    );
    assert_eq!(input, wire(&["/tls/1.0.0"]), "nothing more is read before the decision");
    listener.refuse();
    assert_eq!(listener.handle_input(&mut input, &any), Ok(Some(TLS)));
    listener.accept();
    assert_eq!(said(|| listener.poll_message()), ["na", "/tls/1.0.0"]);
    assert_eq!(listener.agreed(), Some(&TLS));
}

#[test]
fn decisions_without_a_proposal_do_nothing() {
    let mut listener = Listener::new();
    listener.accept();
    listener.refuse();
    assert_eq!(listener.poll_message(), None);
    assert_eq!(listener.agreed(), None);
}

/// go-multistream panicked on short input (kubo#6869, kubo#6759).
#[test]
fn every_prefix_of_a_negotiation_asks_for_more() {
    let whole = wire(&[HEADER, "/noise"]);
    for len in 0..whole.len() {
        let (agreed, _) = listen(&mut BytesMut::from(&whole[..len]));
        assert_eq!(agreed, Ok(false), "{len} bytes");
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("/noise".to_owned()),
        2 => Just("na".to_owned()),
        1 => Just("ls".to_owned()),
        1 => Just(HEADER.to_owned()),
        1 => Just("/tls/1.0.0".to_owned()),
        2 => "[ -~]{0,40}",
        1 => "[a-z]{120,300}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    // spec: mss/bytewise, uvarint/split
    #[test]
    fn any_split_of_the_input_gives_the_same_negotiation(
        mut texts in proptest::collection::vec(text(), 0..8),
        junk in proptest::collection::vec(any::<u8>(), 0..12),
        headless in proptest::bool::weighted(0.1),
        cuts in proptest::collection::vec(1_usize..30, 0..60),
    ) {
        if !headless {
            texts.insert(0, HEADER.to_owned());
        }
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let mut whole = wire(&texts);
        whole.extend_from_slice(&junk);

        let mut at_once = (Listener::new(), Dialer::new(vec![TLS, NOISE]));
        let mut in_pieces = (Listener::new(), Dialer::new(vec![TLS, NOISE]));
        let (mut left, mut left_to_dialer) = (whole.clone(), whole.clone());
        let heard = at_once.0.handle_input(&mut left, &speaks_noise);
        let answered = at_once.1.handle_input(&mut left_to_dialer);

        let (mut input, mut dialer_input, mut rest) = (BytesMut::new(), BytesMut::new(), whole);
        let (mut heard_in_pieces, mut answered_in_pieces) = (Ok(None), Ok(None));
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let piece = rest.split_to(cut.min(rest.len()));
            input.extend_from_slice(&piece);
            dialer_input.extend_from_slice(&piece);
            heard_in_pieces = in_pieces.0.handle_input(&mut input, &speaks_noise);
            answered_in_pieces = in_pieces.1.handle_input(&mut dialer_input);
        }
        let (heard_fine, answered_fine) = (heard.is_ok(), answered.is_ok());
        prop_assert_eq!(heard_in_pieces, heard);
        prop_assert_eq!(answered_in_pieces, answered);
        if heard_fine {
            prop_assert_eq!(input, left);
        }
        if answered_fine {
            prop_assert_eq!(dialer_input, left_to_dialer);
        }
        at_once.0.accept();
        in_pieces.0.accept();
        let messages = |listener: &mut Listener| std::iter::from_fn(|| listener.poll_message()).collect::<Vec<_>>();
        prop_assert_eq!(messages(&mut in_pieces.0), messages(&mut at_once.0));
    }

    #[test]
    fn a_message_is_read_as_it_was_written(protocols in proptest::collection::vec("[ -~]{0,200}", 1..4)) {
        let list = Message::Protocols(protocols.clone());
        let mut input = BytesMut::from(&list.encode()[..]);
        let single = Message::Protocol(protocols[0].clone());
        input.extend_from_slice(&single.encode());
        prop_assert_eq!(Message::take(&mut input), Ok(Some(list)));
        let read = Message::take(&mut input).unwrap().unwrap();
        prop_assert_eq!(read.encode(), single.encode());
        prop_assert!(input.is_empty());
    }
}
