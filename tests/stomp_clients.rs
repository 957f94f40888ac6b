//! The real server under STOMP clients that nobody here wrote: `@stomp/stompjs` in node and in Chromium,
//! `webstomp-client` in node and Python `stomp.py`. Each goes through the same scenarios.
//!
//! tests/run installs them; without them these tests fail.

#![forbid(unsafe_code)]

mod support;

mod stomp {
    pub mod client;
    pub mod event;
    pub mod program;
    mod site;

    mod acknowledgements;
    mod connections;
    mod contents;
    mod destinations;
    mod errors;
    mod heart_beats;
    mod interplay;
    mod reconnections;
    mod transactions;

    /// A module of tests for a client, one for each scenario.
    macro_rules! client {
        ($client:ident, $kind:ident: $($topic:ident { $($scenario:ident)* })*) => {
            mod $client {
                $($(
                    #[test]
                    fn $scenario() {
                        super::$topic::$scenario(super::client::Kind::$kind);
                    }
                )*)*
            }
        };
    }

    /// What every client can, and more that this one can.
    macro_rules! clients {
        ($($client:ident, $kind:ident: $($more:ident { $($scenario:ident)* })*;)*) => {
            $(
                client! {
                    $client, $kind:
                    connections {
                        every_version_is_spoken
                        the_highest_common_version_is_chosen
                        no_subprotocol_is_needed
                        every_command_gets_its_receipt
                        disconnect_gets_its_receipt_and_an_end_in_order
                    }
                    heart_beats {
                        who_wants_none_gets_none
                        they_are_kept_in_both_directions
                        one_direction_is_enough
                        a_client_that_falls_silent_gets_an_error_and_is_closed
                    }
                    acknowledgements {
                        auto_needs_none
                        client_acknowledges_everything_up_to_a_message
                        client_individual_acknowledges_one_message
                        a_nack_returns_a_message
                        a_message_that_always_returns_is_discarded
                        a_topic_waits_for_acknowledgements_and_for_nobody_else
                        a_topic_ends_a_subscription_that_never_acknowledges
                        thousands_of_acknowledged_messages_keep_their_order
                    }
                    transactions {
                        commit_sends_everything_in_order
                        abort_sends_nothing
                        a_lost_connection_aborts
                        an_aborted_ack_has_not_been_made
                    }
                    contents {
                        ten_thousand_messages_arrive_in_order
                        headers_of_a_send_reach_the_message
                        special_characters_in_headers_survive
                        what_the_server_says_cannot_be_forged
                        bodies_survive
                        a_long_body_is_split_and_put_together
                        frames_go_in_binary_messages_too
                    }
                    destinations {
                        a_topic_is_heard_by_all_its_subscriptions
                        an_unsubscribed_topic_is_heard_no_more
                        a_subscription_may_change_at_once
                        many_subscriptions_of_a_connection_keep_their_order
                        long_bodies_reach_many_subscribers
                        what_was_sent_before_disconnect_is_heard
                        a_queue_gives_each_message_to_one_consumer
                        an_idle_consumer_holds_up_nobody
                        a_queue_keeps_what_nobody_has_taken
                        a_message_returns_when_its_consumer_goes
                        a_user_hears_what_is_for_the_user
                    }
                    errors {
                        a_destination_that_is_none
                        a_subscription_that_is_not_there
                        a_subscription_that_is_there_already
                        a_transaction_that_was_not_begun
                        a_body_over_the_limit
                        a_queue_that_is_full
                    }
                    interplay {
                        http_and_raw_publishers_are_heard
                        http_and_raw_subscribers_hear
                        a_queue_is_no_channel
                    }
                    reconnections {
                        to_a_server_that_was_restarted
                        to_the_successor_of_a_drained_server
                        after_the_connection_was_cut
                    }
                    $($more { $($scenario)* })*
                }
            )*
        };
    }

    clients! {
        stompjs_in_node, StompJs:
            connections { a_version_that_nobody_speaks_is_refused }
            contents {
                bodies_that_are_no_text_survive
                names_may_have_special_characters
            };
        stompjs_in_chromium, Chromium:
            connections { a_version_that_nobody_speaks_is_refused }
            contents {
                bodies_that_are_no_text_survive
                names_may_have_special_characters
            };
        webstomp_in_node, Webstomp:
            contents { a_colon_that_is_not_escaped_is_taken };
        stomp_py, StompPy:
            connections { a_version_that_nobody_speaks_is_refused }
            contents {
                bodies_that_are_no_text_survive
                names_may_have_special_characters
                spaces_around_header_values_survive
                a_header_of_one_version_breaks_no_frame_of_another
            };
    }
}
