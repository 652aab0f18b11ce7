//! What a store has to do, as sentences that can be false.
//!
//! ```
//! use stepup_core::storage::memory::MemoryStore;
//!
//! stepup_testkit::storage_suite!(async || (MemoryStore::new(), ()));
//! # fn main() {}
//! ```
//!
//! makes one test of each sentence; [`run`] runs them all in a test of your own. The second part of what is handed in
//! is kept as long as the store: a temporary folder, a server. Races start from a barrier on a runtime of several
//! threads. A store that keeps its rows in a database must be opened on a real one: SQLite on a file, since
//! `:memory:` is one connection and proves nothing.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a sentence that is false of a store panics: that is its verdict"
)]

mod accounts;
mod beside;
mod challenges;
mod counters;
mod fixture;
mod flows;
mod keys;
mod sessions;
mod undo;
mod updates;
mod users;
#[cfg(test)]
mod wrong;

use std::sync::Arc;

use stepup_core::storage::Storage;

pub use self::{
    accounts::*, beside::*, challenges::*, counters::*, flows::*, keys::*, sessions::*, undo::*, updates::*,
    users::*,
};

/// Proves one sentence: makes a store and hands it over, on a runtime of several threads.
///
/// # Panics
/// The sentence is false of this store.
pub fn prove<S: Storage, Guard>(
    sentence: impl AsyncFnOnce(Arc<dyn Storage>),
    make: impl AsyncFnOnce() -> (S, Guard),
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(async {
        let (store, guard) = make().await;
        sentence(Arc::new(store)).await;
        drop(guard);
    });
}

/// Declares the list once: [`run`] and the macro `storage_suite!` follow from it.
macro_rules! sentences {
    ($dollar:tt $($sentence:ident)*) => {
        /// Proves every sentence, each on a store of its own, one after the other.
        ///
        /// # Panics
        /// One of them is false of this store.
        pub fn run<S: Storage, Guard>(make: impl AsyncFn() -> (S, Guard)) {
            $(prove($sentence, &make);)*
        }

        /// Makes a test of each sentence of [`suite::storage`](crate::suite::storage). Takes an async closure or
        /// function that makes an empty store and what has to live as long as it.
        #[macro_export]
        macro_rules! storage_suite {
            ($dollar make:expr) => {
                $(
                    #[test]
                    fn $sentence() {
                        $crate::suite::storage::prove($crate::suite::storage::$sentence, $dollar make);
                    }
                )*
            };
        }
    };
}

sentences! { $
    // Users.
    a_user_is_found_by_its_key_and_by_no_other_tenant
    a_user_is_made_once_however_many_want_to_make_it
    an_identifier_finds_its_user_and_the_password
    keys_are_compared_byte_by_byte
    metadata_merges_on_the_first_level_only
    metadata_merges_at_once_lose_nothing
    metadata_is_cleared_whole
    a_tombstone_has_no_metadata
    long_and_odd_values_come_back_as_they_were
    a_credential_is_resealed_only_from_the_version_it_was_read_in
    of_many_reseals_of_one_version_one_wins
    credentials_are_listed_by_kind_oldest_first
    a_change_raises_the_epoch_above_that_of_every_user
    a_walk_through_the_users_sees_each_of_them_once

    // Accounts.
    an_account_is_made_whole
    an_account_whose_identifier_is_taken_leaves_nothing_behind
    an_account_whose_user_or_session_clashes_leaves_nothing_behind
    an_account_is_made_only_with_a_session_of_its_own
    of_many_accounts_with_one_identifier_one_is_made
    one_identifier_may_sign_in_once_in_each_tenant
    a_contact_may_be_the_second_factor_of_many

    // Updates.
    an_update_changes_methods_identifiers_and_password_together
    an_update_ends_sessions_and_the_challenges_of_its_contacts_and_no_others
    an_update_keeps_the_session_it_was_done_in_by_a_new_token
    an_update_keeps_its_session_without_a_rise
    an_update_replaces_second_factors_and_begins_what_undoes_it
    an_update_is_done_only_by_what_pays_for_it
    an_update_by_a_session_that_is_none_writes_nothing
    an_update_of_the_password_alone_keeps_every_identifier
    an_update_to_anothers_identifier_writes_nothing
    an_update_touches_no_second_factor_and_no_state
    an_update_is_done_from_the_revision_it_was_read_in_and_to_no_tombstone
    an_update_that_clashes_leaves_nothing_behind
    an_identifier_that_was_given_up_is_free
    of_many_updates_from_one_revision_one_is_done
    of_many_users_that_want_one_identifier_one_gets_it
    an_update_and_a_new_account_never_share_an_identifier
    a_session_opened_while_its_user_is_updated_does_not_survive
    what_is_known_of_a_method_is_set_and_signs_nobody_out
    of_many_that_set_methods_from_one_revision_one_does

    // Challenges.
    a_right_code_is_right_once
    a_right_code_is_right_for_exactly_one_of_many
    racing_guesses_are_compared_no_more_often_than_allowed
    a_code_is_right_up_to_its_expiry_and_expired_from_then_on
    an_expired_answer_is_charged_like_a_wrong_one
    nothing_is_answered_after_the_last_failure
    a_challenge_past_its_end_is_gone_though_nobody_swept_it
    a_code_is_useless_under_another_binding
    an_answer_may_come_under_any_of_the_keys
    too_many_digests_are_refused_and_nothing_is_charged
    a_new_challenge_takes_the_place_of_the_old_one
    a_challenge_of_another_purpose_or_session_stays
    a_challenge_id_is_used_once
    a_resend_adds_a_code_and_lets_the_oldest_die
    three_codes_live_at_once_each_with_its_own_expiry
    a_resend_that_comes_too_early_is_told_when
    of_many_resends_one_adds_a_code
    the_pause_between_resends_doubles_to_its_cap
    nothing_is_resent_to_a_challenge_that_is_closed_foreign_or_over
    challenges_are_found_by_where_they_were_sent_newest_first
    a_challenge_is_dropped_once_and_answers_nothing_after

    // Sessions.
    a_session_opens_only_for_a_live_user_of_its_epoch
    a_session_comes_back_as_it_was_stored
    a_session_handle_is_used_once
    a_rotation_retires_the_token_and_yields_all_a_new_one_needs
    of_many_rotations_one_succeeds
    only_the_current_token_rotates
    a_session_that_is_over_does_not_rotate
    a_rotation_moves_the_idle_end_but_never_past_the_last_end
    a_rotation_needs_a_live_user_of_the_same_epoch
    a_full_tally_stops_rotation_until_its_window_is_over
    payload_merges_at_once_lose_nothing
    a_user_sees_its_own_living_sessions_newest_first
    a_session_is_revoked_once_and_takes_its_challenges_along
    all_sessions_of_a_user_are_revoked_and_nobody_elses

    // Counters.
    a_window_grants_no_more_than_its_limit
    racing_charges_never_pass_the_limit
    a_window_starts_anew_when_it_is_over
    a_curve_waits_twice_as_long_each_time
    a_full_curve_opens_after_half_a_year_of_silence
    a_refused_charge_counts_nothing
    the_first_counter_that_refuses_is_named
    a_look_counts_nothing
    looks_and_counts_mix_in_one_charge
    one_counter_is_not_asked_twice
    racing_charges_over_several_counters_stay_together
    success_clears_counters_and_no_others
    a_caller_whose_clock_is_behind_waits_for_no_delay_that_is_not_there
    a_counter_jumps_no_wait_when_the_clock_jumps_back

    // Keys and notices.
    a_slot_for_a_signing_key_is_taken_once
    a_signing_key_is_sealed_anew_only_as_it_was_read
    what_begins_like_the_seal_of_a_secret_is_counted
    of_many_signing_keys_for_one_slot_one_is_kept
    signing_keys_are_listed_newest_first_and_dropped_when_they_verify_no_more
    a_secret_check_is_written_once
    notices_are_added_all_or_none
    a_notice_is_taken_by_one_caller_only
    a_notice_comes_due_again_until_it_is_finished

    // What crosses records.
    a_look_reads_a_session_and_all_that_belongs_to_it
    a_look_finds_no_challenge_of_another_tenant
    a_completed_factor_is_recorded_by_its_id
    a_completion_replaces_the_older_one_of_the_same_factor
    completions_at_once_lose_nothing
    a_rise_makes_a_token_that_nothing_derives
    a_renewal_leaves_the_tokens_alone
    a_completion_needs_a_living_session_of_a_live_user
    a_completion_closes_the_challenges_of_its_factor_only
    a_completion_clears_the_counters_it_names
    an_enrollment_writes_all_or_nothing
    of_many_enrollments_from_one_revision_one_is_done
    a_first_enrollment_ends_everything_else_that_was_signed_in
    a_later_enrollment_ends_nothing
    what_begins_with_an_enrollment_outlives_the_end_of_all_else
    a_change_is_made_only_by_what_pays_for_it
    an_enrollment_is_made_only_by_what_pays_for_it
    of_many_changes_that_one_challenge_pays_for_one_is_made
    a_retired_password_says_so_until_another_takes_its_place
    a_changed_user_loses_sessions_challenges_and_keeps_its_password
    a_change_can_reset_the_second_factors
    a_tombstone_is_not_changed
    required_factors_are_set_from_the_revision_they_were_read_in
    a_deleted_user_leaves_a_tombstone_and_nothing_personal
    a_session_opened_while_its_user_changes_does_not_survive
    a_code_is_answered_or_its_session_revoked_never_half
    a_sweep_takes_only_what_is_over
    a_sweep_is_bounded
    a_store_that_is_ready_says_so
}
