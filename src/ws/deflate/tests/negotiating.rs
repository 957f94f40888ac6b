//! H7: what comes of which offer.

use super::super::*;

const POLICY: Policy = Policy {
    client_keeps_context: false,
    window_max: WindowBits::W15,
};

const KEEPING: Policy = Policy {
    client_keeps_context: true,
    ..POLICY
};

/// The answer to the values of one header each.
fn answer(offers: &[&str], policy: &Policy) -> Option<String> {
    let answer = negotiate(offers.iter().map(|offer| offer.as_bytes()), Some(policy)).unwrap()?;
    let mut out = Vec::new();
    answer.put_value(&mut out);
    Some(String::from_utf8(out).unwrap())
}

fn agreement(offer: &str, policy: &Policy) -> Agreement {
    negotiate([offer.as_bytes()].into_iter(), Some(policy))
        .unwrap()
        .unwrap()
        .agreement
}

/// The answer's parameters behind the one that every answer has.
fn parameters(offer: &str, policy: &Policy) -> String {
    let answer = answer(&[offer], policy).unwrap_or_else(|| panic!("{offer} is declined"));
    let common = "permessage-deflate; server_no_context_takeover";
    answer.strip_prefix(common).unwrap().to_owned()
}

#[test]
fn h7_the_server_never_takes_its_context_over_and_asks_the_client_for_the_same() {
    for offer in [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
    ] {
        assert_eq!(
            parameters(offer, &POLICY),
            "; client_no_context_takeover",
            "{offer}"
        );
    }
}

#[test]
fn h7_a_client_keeps_its_context_where_the_policy_lets_it_unless_it_says_it_will_not() {
    assert_eq!(parameters("permessage-deflate", &KEEPING), "");
    assert!(agreement("permessage-deflate", &KEEPING).client_keeps_context());
    let offer = "permessage-deflate; client_no_context_takeover";
    assert_eq!(parameters(offer, &KEEPING), "; client_no_context_takeover");
    assert!(!agreement(offer, &KEEPING).client_keeps_context());
    assert!(!agreement("permessage-deflate", &POLICY).client_keeps_context());
}

#[test]
fn h7_every_server_window_that_is_asked_for_is_agreed_to() {
    for window in WindowBits::ALL {
        let offer = format!(
            "permessage-deflate; server_max_window_bits={}",
            window.bits()
        );
        let said = format!("; server_max_window_bits={}", window.bits());
        assert_eq!(parameters(&offer, &KEEPING), said);
        assert_eq!(agreement(&offer, &KEEPING).server_window(), window);
    }
}

#[test]
fn h7_the_policys_window_is_the_largest_whatever_is_asked_for() {
    let policy = Policy {
        window_max: WindowBits::W10,
        ..KEEPING
    };
    for (offer, said) in [
        ("", "; server_max_window_bits=10"),
        ("; server_max_window_bits=9", "; server_max_window_bits=9"),
        ("; server_max_window_bits=15", "; server_max_window_bits=10"),
        (
            "; client_max_window_bits",
            "; server_max_window_bits=10; client_max_window_bits=10",
        ),
        (
            "; client_max_window_bits=8",
            "; server_max_window_bits=10; client_max_window_bits=8",
        ),
        (
            "; client_max_window_bits=12",
            "; server_max_window_bits=10; client_max_window_bits=10",
        ),
    ] {
        assert_eq!(
            parameters(&format!("permessage-deflate{offer}"), &policy),
            said
        );
    }
    // Who does not offer to be told a window must not be told one, and may use the largest.
    assert_eq!(
        agreement("permessage-deflate", &policy).client_window(),
        WindowBits::W15
    );
}

#[test]
fn h7_a_client_that_names_its_window_keeps_to_it() {
    for window in WindowBits::ALL {
        let offer = format!(
            "permessage-deflate; client_max_window_bits={}",
            window.bits()
        );
        assert_eq!(agreement(&offer, &KEEPING).client_window(), window);
    }
}

#[test]
fn h7_an_offer_with_a_parameter_that_is_unknown_doubled_or_without_meaning_is_declined() {
    for parameter in [
        "x",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=08",
        "server_max_window_bits=010",
        "server_max_window_bits=+9",
        "server_max_window_bits=0x9",
        "server_max_window_bits=9; server_max_window_bits=9",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=15.0",
        "client_max_window_bits; client_max_window_bits=9",
        "Server_No_Context_Takeover",
    ] {
        let bad = format!("permessage-deflate; {parameter}");
        assert_eq!(answer(&[&bad], &KEEPING), None, "{bad}");
        // … and the next one is tried.
        let good = "permessage-deflate; server_max_window_bits=11";
        let said = "; server_max_window_bits=11";
        assert_eq!(parameters(&format!("{bad}, {good}"), &KEEPING), said);
        let two_headers = answer(&[&bad, good], &KEEPING).unwrap();
        assert!(two_headers.ends_with(said), "{bad}: {two_headers}");
    }
}

#[test]
fn h7_the_first_acceptable_offer_wins_and_other_extensions_are_left_out() {
    let offers = "x-unknown; a=b; c, permessage-deflate; server_max_window_bits=9, \
                  permessage-deflate; server_max_window_bits=12";
    assert_eq!(
        parameters(offers, &KEEPING),
        "; server_max_window_bits=9",
        "{offers}"
    );
    for offers in [
        "",
        "x-unknown",
        "permessage-bzip2, permessage-deflates",
        "PERMESSAGE-DEFLATE",
    ] {
        assert_eq!(answer(&[offers], &KEEPING), None, "{offers}");
    }
    assert_eq!(answer(&[], &KEEPING), None, "no header at all");
}

#[test]
fn h7_space_quotes_and_empty_elements_are_read_as_the_grammar_has_them() {
    for offer in [
        "permessage-deflate;server_max_window_bits=10",
        " permessage-deflate ; server_max_window_bits = 10 ",
        "permessage-deflate;\tserver_max_window_bits=\"10\"",
        "permessage-deflate; server_max_window_bits=\"1\\0\"",
        ",, permessage-deflate; server_max_window_bits=10,",
    ] {
        assert_eq!(
            parameters(offer, &KEEPING),
            "; server_max_window_bits=10",
            "{offer}"
        );
    }
}

#[test]
fn h7_a_header_that_breaks_the_grammar_fails_the_handshake_whatever_the_policy() {
    for value in [
        "permessage-deflate;",
        "permessage-deflate; =1",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"10",
        "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate; server_max_window_bits=\"1 0\"",
        "permessage-deflate; a=\"b,c\"",
        "permessage-deflate server_max_window_bits=10",
        "permessage-deflate, ; x",
        "permessage@deflate",
        "permessage-deflate; server_max_window_bits=10\u{e9}",
    ] {
        for policy in [None, Some(&POLICY)] {
            let values = ["permessage-deflate".as_bytes(), value.as_bytes()];
            assert_eq!(
                negotiate(values.into_iter(), policy),
                Err(Malformed),
                "{value}"
            );
        }
    }
}

#[test]
fn h7_without_a_policy_nothing_is_agreed_on() {
    let offer = "permessage-deflate".as_bytes();
    assert_eq!(negotiate([offer].into_iter(), None), Ok(None));
}

#[test]
fn an_agreement_takes_two_bytes_of_a_connection_and_loses_nothing() {
    assert_eq!(size_of::<Option<Agreement>>(), 2);
    for server in WindowBits::ALL {
        for client in WindowBits::ALL {
            for keeps in [false, true] {
                let agreed = Agreement::new(server, client, keeps);
                assert_eq!(
                    (agreed.server_window(), agreed.client_window()),
                    (server, client)
                );
                assert_eq!(agreed.client_keeps_context(), keeps);
            }
        }
    }
}
