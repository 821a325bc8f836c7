"""What the switches break: for each module of tests one switch that it notices, or why it is worth keeping all the same."""

BROKEN_BY = {
    "tests/hostile/test_guests.py": "control-characters-shown",
    "tests/hostile/test_redirects.py": "redirects-followed",
    "tests/cli/test_acts.py": "no-baseline",
    "tests/cli/test_bad_surroundings.py": "any-database",
    "tests/cli/test_connect.py": "token-in-memory",
    "tests/cli/test_disconnect.py": "token-in-memory",
    "tests/cli/test_looks.py": "contacts-shown",
    "tests/cli/test_online_tokens.py": "wrong-refresh",
    "tests/connectors/test_bookatu.py": "no-signature-check",
    "tests/connectors/test_consent.py": "redirects-followed",
    "tests/connectors/test_nearbyassist.py": "one-bad-row-stops-all",
    "tests/connectors/test_nicejob.py": "tags-overwritten",
    "tests/connectors/test_nicejob_parts.py": "tags-overwritten",
    "tests/connectors/test_nowistay.py": "silent-flag-left-out",
    "tests/connectors/test_nowistay_hooks.py": "no-signature-check",
    "tests/connectors/test_nowistay_login.py": "wrong-refresh",
    "tests/connectors/test_rate_day.py": "no-budget",
    "tests/contract/test_contract.py": "silent-flag-left-out",
    "tests/daemon/test_doors.py": "open-door",
    "tests/daemon/test_logs.py": "secrets-logged",
    "tests/daemon/test_receive.py": "acknowledged-before-stored",
    "tests/daemon/test_sealed_tokens.py": "token-in-memory",
    "tests/disk/test_backup.py": "copies-unverified",
    "tests/disk/test_restore.py": "restored-wide-awake",
    "tests/machine/test_machine.py": "no-lookup",
    "tests/machine/test_stories.py": "no-lookup",
    "tests/recordings/test_recordings.py": "money-as-floats",
    "tests/state/test_cursors.py": "no-baseline",
    "tests/state/test_database.py": "half-transactions",
    "tests/state/test_inbox.py": "acknowledged-before-stored",
    "tests/state/test_ledger.py": "arrival-order",
    "tests/state/test_links.py": "parted-is-joined-again",
    "tests/state/test_outbox.py": "blind-retry",
    "tests/state/test_retention.py": "forgets-too-much",
    "tests/state/test_tokens.py": "tokens-in-plain",
    "tests/state/test_units.py": "no-fence",
    "tests/sync/test_claims.py": "no-fence",
    "tests/sync/test_first_ferry.py": "absence-cancels",
    "tests/sync/test_guard.py": "no-guard",
    "tests/sync/test_living.py": "no-echo-knowledge",
    "tests/sync/test_lost_webhooks.py": "losses-uncounted",
    "tests/sync/test_matrix.py": "no-echo-knowledge",
    "tests/sync/test_nearby_ferry.py": "no-echo-knowledge",
    "tests/sync/test_nowistay_ferry.py": "no-echo-knowledge",
    "tests/sync/test_only_looks.py": "token-in-memory",
    "tests/sync/test_pairs.py": "no-ping-pong-stop",
    "tests/sync/test_promises.py": "no-cutover",
    "tests/sync/test_recipes.py": "no-baseline",
    "tests/sync/test_under_bookings.py": "blind-retry",
    "tests/torture/test_torture.py": "no-lookup",
    "tests/unit/test_budget.py": "no-budget",
    "tests/unit/test_config.py": "mistakes-without-a-place",
    "tests/unit/test_decide.py": "no-normal-form",
    "tests/unit/test_expr.py": "local-time-instead-of-zone",
    "tests/unit/test_http.py": "http-never-repeats",
    "tests/unit/test_http_writes.py": "http-repeats-writes",
    "tests/unit/test_identity.py": "shared-addresses-identify",
    "tests/unit/test_losses.py": "losses-uncounted",
    "tests/unit/test_merge.py": "arrival-order",
    "tests/unit/test_money.py": "money-as-floats",
    "tests/unit/test_normal.py": "no-normal-form",
    "tests/unit/test_oauth.py": "wrong-refresh",
    "tests/unit/test_pairs_decide.py": "no-pair-rules",
    "tests/unit/test_rhythm.py": "silence-unnoticed",
    "tests/unit/test_surprise.py": "no-guard",
    "tests/unit/test_time_and_money.py": "money-as-floats",
}

_STAND_IN = "tests a stand-in against its platform's document: every other test trusts it"

_REAL = "its processes are real ones, which no switch reaches: "

WORTH = {
    "tests/sync/test_hooks_command.py": "tests the command `hooks`",
    "tests/daemon/test_recorded_hooks.py": "sends recorded webhooks through the real door, letter by letter",
    "tests/daemon/test_alerts.py": "tests what the owner is told, over real HTTP",
    "tests/hostile/test_slow_clients.py": "tests what slow senders cost the others",
    "tests/hostile/test_doors_under_fire.py": "tests a running service with whatever may be sent to it",
    "tests/hostile/test_yaml_bombs.py": "tests that a configuration written to hurt costs little",
    "tests/hostile/test_private_files.py": "tests the modes of files that hold secrets",
    "tests/hostile/test_poison.py": "tests that what cannot be read stops nothing behind it, in ways that no switch has",
    "tests/cli/test_probing.py": "tests the command `probe`",
    "tests/unit/test_schema.py": "tests the JSON Schema that editors use",
    "tests/sync/test_statements.py": "tests how SQLite finds rows, which no switch alters",
    "tests/sync/test_secrecy.py": "looks for planted secrets, which more than one protection keeps from the log",
    "tests/connectors/test_nowistay_walk.py": "tests the walk through lists whose rows shift",
    "tests/unit/test_probe.py": "tests what `probe` shows of an answer: its shape",
    "tests/contract/test_fifth_platform.py": "tests that a platform from outside is enrolled in the contract's suite",
    "tests/connectors/test_nearbyassist_probe.py": "tests that `probe` finds the settings that fit",
    "tests/bench/test_bench_smoke.py": "tests that the measurements still run",
    "tests/cli/test_quiet_costs.py": "tests that `check` and `plan` tell what a silent write leaves out",
    "tests/cli/test_trial.py": "tests that the demo's stage is what the documents show",
    "tests/cli/test_waiting.py": "tests what `status` says of what waits",
    "tests/cli/test_alert_command.py": "tests a command that only sends a message",
    "tests/crash/test_freeze.py": _REAL + "they stand still while others take over",
    "tests/crash/test_kill.py": _REAL + "they are killed at every point",
    "tests/daemon/test_handed.py": "tests sockets that the system hands over, and the units that make it do so",
    "tests/disk/test_cut.py": "tests what SQLite makes of a file that was cut short: nothing of ours stands between",
    "tests/disk/test_faults.py": _REAL + "a library in C makes their disk fail",
    "tests/disk/test_growth.py": "lives the same days with and without forgetting: the comparison is the proof",
    "tests/disk/test_tidy.py": "tests when forgetting happens; what is forgotten is tested elsewhere",
    "tests/durability/test_durability.py": _REAL + "they are killed while webhooks come in",
    "tests/naive/test_naive.py": "tests the switches",
    "tests/torture/test_blindfolded.py": "tests that the simulated worlds are rough enough to notice the switches",
    "tests/project/test_pages.py": "tests the documents",
    "tests/project/test_project.py": "tests the project itself",
    "tests/sandbox/test_bookatu_sandbox.py": _STAND_IN,
    "tests/sandbox/test_bookatu_sandbox_booking.py": _STAND_IN,
    "tests/sandbox/test_bookatu_sandbox_webhooks.py": _STAND_IN,
    "tests/sandbox/test_kit.py": _STAND_IN,
    "tests/sandbox/test_kit_webhooks.py": _STAND_IN,
    "tests/sandbox/test_nearbyassist_sandbox.py": _STAND_IN,
    "tests/sandbox/test_nearbyassist_sandbox_webhooks.py": _STAND_IN,
    "tests/sandbox/test_nicejob_sandbox.py": _STAND_IN,
    "tests/sandbox/test_nicejob_sandbox_access.py": _STAND_IN,
    "tests/sandbox/test_nicejob_sandbox_visits.py": _STAND_IN,
    "tests/sandbox/test_nowistay_sandbox.py": _STAND_IN,
    "tests/sandbox/test_nowistay_sandbox_access.py": _STAND_IN,
    "tests/unit/test_jsjson.py": "tests that JavaScript's JSON is printed to the letter; `node` is the judge",
    "tests/unit/test_streams.py": "tests which lists have to be read before a route decides",
}

PROOFS = {
    "no-guard": [
        "tests/sync/test_guard.py::test_a_mass_cancellation_waits_and_one_that_staff_take_back_never_happened"
    ],
    "no-lookup": [
        "tests/machine/test_stories.py::test_a_create_whose_answer_was_lost_is_looked_up_and_made_once[applied]"
    ],
    "arrival-order": [
        "tests/state/test_ledger.py::TestStalePages::test_a_page_asked_for_before_a_webhook_does_not_undo_it"
    ],
    "absence-cancels": ["tests/sync/test_first_ferry.py::test_a_lying_list_cancels_nothing[half_list]"],
    "no-baseline": [
        "tests/state/test_cursors.py::TestRoute::test_arming_makes_all_that_is_known_the_baseline"
    ],
    "no-echo-knowledge": [
        "tests/machine/test_stories.py::test_two_changes_before_the_target_is_read_again_make_one_record"
    ],
    "blind-retry": [
        "tests/sync/test_first_ferry.py::test_a_lost_answer_doubles_nothing[bookings-lost_answer]"
    ],
    "wrong-refresh": [
        "tests/unit/test_oauth.py::test_twenty_calls_meet_an_expired_token_and_one_renews_it[True]"
    ],
    "token-in-memory": ["tests/unit/test_oauth.py::test_a_token_is_on_disk_before_its_first_use"],
    "renewals-side-by-side": [
        "tests/unit/test_oauth.py::test_twenty_calls_meet_an_expired_token_and_one_renews_it[True]"
    ],
    "tokens-in-plain": ["tests/state/test_tokens.py::TestBox::test_sealed_and_opened"],
    "no-signature-check": [
        "tests/daemon/test_receive.py::test_what_is_forged_or_stale_changes_nothing[signature-headers0]"
    ],
    "no-age-check": [
        "tests/daemon/test_receive.py::test_what_is_forged_or_stale_changes_nothing[stale-headers2]"
    ],
    "http-repeats-writes": [
        "tests/unit/test_http_writes.py::test_a_doubtful_write_is_unknown_and_sent_once[close-POST]"
    ],
    "http-never-repeats": ["tests/unit/test_http.py::test_a_read_survives_a_passing_status[500]"],
    "redirects-followed": [
        "tests/unit/test_http_writes.py::test_redirects_are_not_followed_and_get_no_credentials[302]"
    ],
    "no-limits": ["tests/unit/test_http_writes.py::test_too_much_or_odd_packing_is_final[answer0]"],
    "server-errors-mean-nothing-happened": [
        "tests/sync/test_first_ferry.py::test_a_lost_answer_doubles_nothing[bookings-error_after]"
    ],
    "no-budget": ["tests/unit/test_budget.py::test_the_sixth_waits_for_the_first_to_leave_the_window"],
    "no-fence": ["tests/sync/test_claims.py::test_a_unit_that_was_taken_over_writes_nothing_more"],
    "cursor-first": [
        "tests/machine/test_stories.py::test_a_death_at_each_step_leaves_nothing_undone_and_nothing_twice[pull:shop]"
    ],
    "acknowledged-before-stored": [
        "tests/daemon/test_receive.py::test_a_store_that_refuses_the_commit_is_503"
    ],
    "no-deduplication": ["tests/daemon/test_receive.py::test_a_replay_and_a_duplicate_are_read_once"],
    "every-sighting-is-a-change": [
        "tests/state/test_ledger.py::TestObserve::test_what_was_put_together_is_known_again_by_its_fingerprint"
    ],
    "absent-is-null": ["tests/unit/test_merge.py::TestPresence::test_absent_stays_as_it_is"],
    "hints-lead-back": [
        "tests/state/test_ledger.py::TestObserve::test_a_hint_that_leads_back_is_not_believed_and_counted"
    ],
    "capped-list-believed": [
        "tests/connectors/test_nowistay.py::test_a_lapsed_subscription_stops_and_deletes_nothing"
    ],
    "empty-list-believed": ["tests/sync/test_first_ferry.py::test_a_lying_list_cancels_nothing[empty_list]"],
    "one-list-is-enough": ["tests/machine/test_stories.py::test_what_one_list_leaves_out_is_not_cancelled"],
    "no-file-lock": ["tests/state/test_database.py::TestOpening::test_a_second_one_is_refused"],
    "half-transactions": [
        "tests/state/test_database.py::TestTransactions::test_a_failing_one_takes_back_only_itself"
    ],
    "any-database": ["tests/state/test_database.py::TestMigrations::test_one_of_a_newer_version_is_refused"],
    "one-bad-row-stops-all": [
        "tests/sync/test_promises.py::test_one_malformed_record_among_a_hundred_is_parked_alone"
    ],
    "no-identity-check": [
        "tests/sync/test_promises.py::test_who_is_there_already_is_adopted_and_never_unblocked"
    ],
    "no-settling": [
        "tests/machine/test_stories.py::test_a_moved_booking_whose_second_create_is_in_doubt_is_not_taken_for_the_cancelled_first[late]"
    ],
    "silent-flag-left-out": ["tests/sync/test_first_ferry.py::test_a_silent_route_asks_nobody"],
    "loud-is-not-refused": [
        "tests/unit/test_decide.py::TestCreate::test_a_target_that_may_speak_is_refused_without_permission"
    ],
    "no-cutover": [
        "tests/sync/test_promises.py::test_a_visit_that_was_over_before_the_cutover_never_starts_a_campaign"
    ],
    "no-normal-form": [
        "tests/unit/test_decide.py::TestUpdate::test_a_target_that_reformats_causes_no_second_write"
    ],
    "no-memory-of-what-was-sent": [
        "tests/unit/test_decide.py::TestUpdate::test_an_edit_at_the_target_stays_until_the_source_changes_that_field"
    ],
    "tags-overwritten": ["tests/connectors/test_nicejob_parts.py::test_foreign_tags_of_a_visit_stay[update]"],
    "unknown-status-guessed": [
        "tests/unit/test_decide.py::TestSkips::test_the_route_wants_nothing[<lambda>-'ON_ICE']"
    ],
    "no-ping-pong-stop": [
        "tests/sync/test_pairs.py::test_two_who_undo_each_other_are_stopped_and_nobody_else_is"
    ],
    "no-pair-rules": ["tests/unit/test_pairs_decide.py::TestPairs::test_the_question_parks"],
    "parted-is-joined-again": [
        "tests/sync/test_promises.py::test_people_who_were_parted_are_not_joined_again"
    ],
    "shared-addresses-identify": [
        "tests/unit/test_identity.py::TestMatch::test_email_with_another_name_is_a_suggestion"
    ],
    "target-unread": [
        "tests/sync/test_promises.py::test_who_is_there_already_is_adopted_and_never_unblocked"
    ],
    "refused-is-tried-for-ever": [
        "tests/sync/test_promises.py::test_a_parked_write_is_carried_once_its_cause_is_mended_and_it_is_retried"
    ],
    "forgets-too-much": [
        "tests/state/test_retention.py::TestWebhooks::test_the_same_one_again_is_still_known_without_its_content"
    ],
    "history-cut-off": [
        "tests/state/test_retention.py::test_a_folded_history_gives_every_answer_that_it_gave_before"
    ],
    "copies-unverified": [
        "tests/disk/test_backup.py::test_a_damaged_database_is_not_copied_over_a_good_backup"
    ],
    "restored-wide-awake": [
        "tests/disk/test_restore.py::test_after_a_restore_nothing_is_doubled_nobody_is_told_twice_and_all_converges"
    ],
    "losses-uncounted": ["tests/unit/test_losses.py::test_what_happened[fields0-None-poll-created]"],
    "silence-unnoticed": ["tests/unit/test_rhythm.py::test_a_source_that_ends_is_noticed_in_its_own_time"],
    "local-time-instead-of-zone": [
        "tests/unit/test_expr.py::test_values[local(booking.starts, booking.zone)-2026-11-01T22:30]"
    ],
    "money-as-floats": ["tests/unit/test_money.py::test_what_is_no_amount_is_refused_as_a_value[1.005-NZD]"],
    "phones-as-typed": ["tests/unit/test_identity.py::TestKeys::test_a_phone_of_no_known_region_is_no_key"],
    "secrets-logged": ["tests/daemon/test_logs.py::test_nothing_private_is_printed[True]"],
    "contacts-shown": ["tests/cli/test_looks.py::test_contact_data_is_masked_and_nothing_moves_the_cursor"],
    "control-characters-shown": [
        "tests/cli/test_looks.py::test_contact_data_is_masked_and_nothing_moves_the_cursor"
    ],
    "errors-quote": ["tests/sync/test_secrecy.py::test_nothing_that_was_planted_is_told[echoed]"],
    "mistakes-without-a-place": [
        "tests/unit/test_config.py::TestSubstitution::test_a_message_shows_the_reference_instead"
    ],
    "open-door": ["tests/daemon/test_doors.py::test_the_largest_body_passes_and_one_byte_more_does_not"],
}
"""For each switch tests that fail under it: quick ones, run in every suite."""
