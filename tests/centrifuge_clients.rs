//! The real server under clients of Centrifugo's protocol that nobody here wrote: `centrifuge` in node and in Chromium, and
//! Python `centrifuge-python`. Each goes through the same scenarios.
//!
//! tests/run installs them; without them these tests fail.

#![forbid(unsafe_code)]

mod support;

mod centrifuge {
    pub mod clients {
        pub mod client;
        pub mod program;
    }

    #[path = "scenarios/connections.rs"]
    mod connections;
    #[path = "scenarios/contents.rs"]
    mod contents;
    #[path = "scenarios/errors.rs"]
    mod errors;
    #[path = "scenarios/presence.rs"]
    mod presence;
    #[path = "scenarios/reconnections.rs"]
    mod reconnections;
    #[path = "scenarios/recovery.rs"]
    mod recovery;
    #[path = "scenarios/subscriptions.rs"]
    mod subscriptions;
    #[path = "scenarios/tokens.rs"]
    mod tokens;

    /// A module of tests for each client, one for each scenario.
    macro_rules! clients {
        ($($client:ident, $kind:ident;)*: $topics:tt) => {
            $(clients!(@client $client, $kind: $topics);)*
        };
        (@client $client:ident, $kind:ident: { $($topic:ident { $($scenario:ident)* })* }) => {
            mod $client {
                $($(
                    #[test]
                    fn $scenario() {
                        super::$topic::$scenario(super::clients::client::Kind::$kind);
                    }
                )*)*
            }
        };
    }

    clients! {
        node, Node;
        chromium, Chromium;
        python, Python;
        : {
            connections {
                a_client_is_told_who_it_is
                it_answers_the_servers_pings_and_stays
                it_leaves_and_comes_back
            }
            subscriptions {
                ten_thousand_publications_arrive_in_order
                all_subscribers_hear_all
                an_unsubscribed_channel_is_heard_no_more
                a_subscription_may_change_at_once
                many_channels_keep_their_order
                one_too_many_ends_with_the_code_of_the_limit
            }
            contents {
                what_is_published_arrives_as_it_was
                the_publisher_is_told
                http_raw_and_stomp_are_heard_and_hear
            }
            errors {
                what_there_is_not_is_an_error
                a_terminal_code_keeps_it_from_coming_back
            }
            reconnections {
                to_a_server_that_was_restarted
                to_the_successor_of_a_drained_server
                after_the_connection_was_cut
            }
            recovery {
                every_publication_comes_once_and_in_order_however_often_it_is_cut
                what_it_missed_comes_behind_where_it_was
                what_is_not_kept_any_more_is_told
                a_subscription_may_begin_at_a_place_of_its_choice
            }
            presence {
                it_is_asked_who_is_there
                it_is_told_who_comes_and_goes
                history_is_read_in_pages
            }
            tokens {
                the_user_of_a_token_is_told_to_the_others
                what_a_token_does_not_allow_is_denied
                tokens_are_renewed_before_they_end_anything
                who_comes_with_an_expired_token_gets_another
                a_token_subscribes_to_channels_and_they_recover
            }
        }
    }
}
