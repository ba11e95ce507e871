// @generated automatically by Diesel CLI.

diesel::table! {
    account_notices (notice_id) {
        notice_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 64]
        waba_id -> Varchar,
        #[max_length = 64]
        field -> Varchar,
        digest -> Bytea,
        payload -> Jsonb,
        occurred_at -> Nullable<Timestamptz>,
        received_at -> Timestamptz,
    }
}

diesel::table! {
    audit_chains (chain) {
        #[max_length = 255]
        chain -> Varchar,
        seq -> Int8,
        head -> Bytea,
    }
}

diesel::table! {
    audit_log (audit_id) {
        audit_id -> Uuid,
        occurred_at -> Timestamptz,
        service -> Text,
        #[max_length = 255]
        tenant_id -> Nullable<Varchar>,
        actor_kind -> Text,
        actor_id -> Nullable<Text>,
        action -> Text,
        target -> Nullable<Text>,
        outcome -> Text,
        details -> Jsonb,
        request_id -> Nullable<Text>,
        traceparent -> Nullable<Text>,
        seq -> Int8,
        prev_hash -> Bytea,
        entry_hash -> Bytea,
    }
}

diesel::table! {
    contact_aliases (tenant_id, user_id, contact) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 160]
        user_id -> Varchar,
        #[max_length = 160]
        contact -> Varchar,
        source -> Text,
        #[max_length = 160]
        previous_user_id -> Nullable<Varchar>,
        #[max_length = 160]
        previous_contact -> Nullable<Varchar>,
        seen_at -> Timestamptz,
    }
}

diesel::table! {
    contact_identities (tenant_id, identity) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 160]
        identity -> Varchar,
        #[max_length = 160]
        contact -> Varchar,
        #[max_length = 255]
        name -> Nullable<Varchar>,
        name_at -> Nullable<Timestamptz>,
        first_seen_at -> Timestamptz,
        shown_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    contact_links (tenant_id, identity_a, identity_b) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 160]
        identity_a -> Varchar,
        #[max_length = 160]
        identity_b -> Varchar,
        cause -> Text,
        entry_id -> Nullable<Uuid>,
        linked_at -> Timestamptz,
        undone_at -> Nullable<Timestamptz>,
        undone_by -> Nullable<Uuid>,
        undo_reason -> Nullable<Text>,
    }
}

diesel::table! {
    contact_preferences (tenant_id, contact, category) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 160]
        contact -> Varchar,
        #[max_length = 64]
        category -> Varchar,
        #[max_length = 32]
        value -> Varchar,
        changed_at -> Timestamptz,
    }
}

diesel::table! {
    contact_windows (tenant_id, phone_number_id, contact) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 64]
        phone_number_id -> Varchar,
        #[max_length = 160]
        contact -> Varchar,
        last_inbound_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    conversation_actions (action_id) {
        action_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        conversation_id -> Uuid,
        action -> Text,
        episode -> Int4,
        user_id -> Nullable<Uuid>,
        other_conversation_id -> Nullable<Uuid>,
        reason -> Nullable<Text>,
        at -> Timestamptz,
    }
}

diesel::table! {
    conversation_assignments (assignment_id) {
        assignment_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        conversation_id -> Uuid,
        user_id -> Uuid,
        status -> Text,
        reason -> Nullable<Text>,
        assigned_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        assigned_by -> Nullable<Uuid>,
        ended_by -> Nullable<Uuid>,
        cause -> Text,
        end_reason -> Nullable<Text>,
        episode -> Int4,
    }
}

diesel::table! {
    conversation_messages (tenant_id, entry_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        entry_id -> Uuid,
        direction -> Text,
        thread_id -> Nullable<Uuid>,
        conversation_id -> Nullable<Uuid>,
        seq -> Nullable<Int8>,
        episode -> Nullable<Int4>,
        #[sql_name = "type"]
        #[max_length = 64]
        type_ -> Nullable<Varchar>,
        text -> Nullable<Text>,
        payload -> Nullable<Jsonb>,
        shown -> Bool,
        #[max_length = 255]
        wamid -> Nullable<Varchar>,
        #[max_length = 255]
        context_wamid -> Nullable<Varchar>,
        #[max_length = 255]
        refers_to -> Nullable<Varchar>,
        #[max_length = 16]
        sent_by_kind -> Nullable<Varchar>,
        #[max_length = 255]
        sent_by -> Nullable<Varchar>,
        occurred_at -> Nullable<Timestamptz>,
        window_expires_at -> Nullable<Timestamptz>,
        sent_at -> Nullable<Timestamptz>,
        delivered_at -> Nullable<Timestamptz>,
        read_at -> Nullable<Timestamptz>,
        undelivered_at -> Nullable<Timestamptz>,
        given_up_at -> Nullable<Timestamptz>,
        canceled_at -> Nullable<Timestamptz>,
        error -> Nullable<Jsonb>,
        status -> Text,
        undelivered_error -> Nullable<Jsonb>,
        given_up_error -> Nullable<Jsonb>,
    }
}

diesel::table! {
    conversation_settings (tenant_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        reopen_as -> Text,
        updated_at -> Timestamptz,
        assignment -> Text,
        routing -> Text,
        default_capacity -> Int4,
        on_absence -> Text,
        retention_days -> Nullable<Int4>,
        retained_on -> Nullable<Date>,
    }
}

diesel::table! {
    conversation_threads (tenant_id, thread_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        thread_id -> Uuid,
        #[max_length = 64]
        phone_number_id -> Varchar,
        #[max_length = 160]
        identity -> Varchar,
        conversation_id -> Uuid,
        read_seq -> Int8,
        read_entry_id -> Nullable<Uuid>,
        closed_seq -> Int8,
        closed_entry_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    conversation_words (tenant_id, word, thread_id, part) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 64]
        word -> Varchar,
        thread_id -> Uuid,
        part -> Text,
    }
}

diesel::table! {
    conversations (conversation_id) {
        conversation_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 64]
        phone_number_id -> Varchar,
        #[max_length = 32]
        wa_id -> Nullable<Varchar>,
        #[max_length = 255]
        contact_name -> Nullable<Varchar>,
        status -> Text,
        unread_count -> Int4,
        last_activity_at -> Timestamptz,
        window_expires_at -> Nullable<Timestamptz>,
        #[max_length = 255]
        genesys_conversation_id -> Nullable<Varchar>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        #[max_length = 160]
        contact -> Nullable<Varchar>,
        #[max_length = 160]
        user_id -> Nullable<Varchar>,
        last_message_id -> Nullable<Uuid>,
        last_inbound_at -> Nullable<Timestamptz>,
        assigned_to -> Nullable<Uuid>,
        assigned_at -> Nullable<Timestamptz>,
        waiting_since -> Nullable<Timestamptz>,
        closed_at -> Nullable<Timestamptz>,
        episode -> Int4,
        merged_into -> Nullable<Uuid>,
        first_inbound_at -> Nullable<Timestamptz>,
        free_since -> Nullable<Timestamptz>,
        genesys_routed_at -> Nullable<Timestamptz>,
        genesys_named_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    dead_letters (dead_letter_id) {
        dead_letter_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Nullable<Varchar>,
        queue -> Text,
        routing_key -> Text,
        broker_message_id -> Nullable<Text>,
        message_id -> Nullable<Uuid>,
        body -> Bytea,
        headers -> Jsonb,
        error -> Text,
        traceparent -> Nullable<Text>,
        state -> Text,
        received_at -> Timestamptz,
        settled_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    erased_messages (tenant_id, entry_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        entry_id -> Uuid,
        erased_at -> Timestamptz,
    }
}

diesel::table! {
    erasures (tenant_id, erasure_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        erasure_id -> Uuid,
        subject_hash -> Bytea,
        #[max_length = 64]
        hash_key -> Varchar,
        identities -> Array<Nullable<Text>>,
        requested_by -> Nullable<Uuid>,
        requested_at -> Timestamptz,
        sent_counts -> Nullable<Jsonb>,
        sent_done_at -> Nullable<Timestamptz>,
        kept_counts -> Nullable<Jsonb>,
        completed_at -> Nullable<Timestamptz>,
        receipt_hash -> Nullable<Bytea>,
        reason -> Text,
    }
}

diesel::table! {
    genesys_user_sessions (session_id) {
        session_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        user_id -> Uuid,
        refresh_token_hash -> Bytea,
        previous_refresh_token_hash -> Nullable<Bytea>,
        generation -> Int4,
        rotated_at -> Timestamptz,
        #[max_length = 64]
        genesys_region -> Varchar,
        genesys_access_token -> Nullable<Bytea>,
        genesys_refresh_token -> Nullable<Bytea>,
        genesys_token_expires_at -> Nullable<Timestamptz>,
        #[max_length = 400]
        user_agent -> Nullable<Varchar>,
        created_at -> Timestamptz,
        last_used_at -> Timestamptz,
        idle_expires_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        revoke_reason -> Nullable<Text>,
        genesys_checked_at -> Nullable<Timestamptz>,
        #[max_length = 255]
        genesys_client_id -> Nullable<Varchar>,
        genesys_token_issued_at -> Nullable<Timestamptz>,
        genesys_refresh_began_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    genesys_users (user_id) {
        user_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 255]
        genesys_org_id -> Varchar,
        #[max_length = 255]
        genesys_user_id -> Varchar,
        #[max_length = 320]
        genesys_email -> Nullable<Varchar>,
        #[max_length = 255]
        name -> Varchar,
        role -> Text,
        is_active -> Bool,
        genesys_version -> Nullable<Int8>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        last_login_at -> Nullable<Timestamptz>,
        role_override -> Nullable<Text>,
        role_changed_at -> Nullable<Timestamptz>,
        deactivated_at -> Nullable<Timestamptz>,
        deactivated_by -> Nullable<Text>,
        seen_in_run -> Nullable<Uuid>,
        is_placeholder -> Bool,
    }
}

diesel::table! {
    idempotency_keys (tenant_id, key) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 255]
        key -> Varchar,
        fingerprint -> Bytea,
        status_code -> Int4,
        response -> Jsonb,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    inbound_messages (inbound_id) {
        inbound_id -> Uuid,
        seq -> Int8,
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 64]
        phone_number_id -> Varchar,
        #[max_length = 255]
        wamid -> Varchar,
        origin -> Text,
        conversation_id -> Uuid,
        #[max_length = 160]
        contact -> Varchar,
        #[max_length = 32]
        wa_id -> Nullable<Varchar>,
        #[max_length = 160]
        user_id -> Nullable<Varchar>,
        profile_name -> Nullable<Text>,
        username -> Nullable<Text>,
        #[sql_name = "type"]
        #[max_length = 64]
        type_ -> Varchar,
        payload -> Jsonb,
        #[max_length = 255]
        context_wamid -> Nullable<Varchar>,
        #[max_length = 255]
        refers_to -> Nullable<Varchar>,
        #[max_length = 64]
        media_id -> Nullable<Varchar>,
        sent_at -> Timestamptz,
        received_at -> Timestamptz,
        erased_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    inbox_events (consumer, event_id) {
        consumer -> Text,
        event_id -> Uuid,
        received_at -> Timestamptz,
    }
}

diesel::table! {
    live_events (tenant_id, event_seq) {
        #[max_length = 255]
        tenant_id -> Varchar,
        event_seq -> Int8,
        user_id -> Nullable<Uuid>,
        min_role -> Text,
        #[sql_name = "type"]
        #[max_length = 64]
        type_ -> Varchar,
        data -> Jsonb,
        created_at -> Timestamptz,
        sequence -> Nullable<Int8>,
        numbered_at -> Nullable<Timestamptz>,
        conversation_id -> Nullable<Uuid>,
        lost_by -> Nullable<Text>,
    }
}

diesel::table! {
    live_feeds (tenant_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        last_sequence -> Int8,
        last_numbered_at -> Timestamptz,
        began_at -> Timestamptz,
    }
}

diesel::table! {
    media (tenant_id, media_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        media_id -> Uuid,
        state -> Text,
        kind -> Nullable<Text>,
        #[max_length = 127]
        mime_type -> Nullable<Varchar>,
        #[max_length = 240]
        file_name -> Nullable<Varchar>,
        size_bytes -> Int8,
        sha256 -> Nullable<Bytea>,
        created_at -> Timestamptz,
        last_used_at -> Timestamptz,
    }
}

diesel::table! {
    media_chunks (tenant_id, media_id, ordinal) {
        #[max_length = 255]
        tenant_id -> Varchar,
        media_id -> Uuid,
        ordinal -> Int4,
        bytes -> Bytea,
    }
}

diesel::table! {
    media_links (tenant_id, link_sha256) {
        #[max_length = 255]
        tenant_id -> Varchar,
        link_sha256 -> Bytea,
        media_id -> Uuid,
        fetched_at -> Timestamptz,
    }
}

diesel::table! {
    media_uploads (tenant_id, media_id, phone_number_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        media_id -> Uuid,
        #[max_length = 64]
        phone_number_id -> Varchar,
        #[max_length = 64]
        meta_media_id -> Nullable<Varchar>,
        expires_at -> Nullable<Timestamptz>,
        lease_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    message_attempts (attempt_id) {
        attempt_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        message_id -> Uuid,
        number -> Int4,
        started_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        outcome -> Nullable<Text>,
        error_class -> Nullable<Text>,
        error_code -> Nullable<Int8>,
        http_status -> Nullable<Int4>,
        #[max_length = 255]
        wamid -> Nullable<Varchar>,
        provider_trace_id -> Nullable<Text>,
        traceparent -> Nullable<Text>,
    }
}

diesel::table! {
    message_status_events (status_event_id) {
        status_event_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        message_id -> Uuid,
        status -> Text,
        source -> Text,
        changed_status -> Bool,
        occurred_at -> Timestamptz,
        recorded_at -> Timestamptz,
        #[max_length = 255]
        wamid -> Nullable<Varchar>,
        error -> Nullable<Jsonb>,
        pricing -> Nullable<Jsonb>,
    }
}

diesel::table! {
    message_templates (tenant_id, waba_id, name, language) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 64]
        waba_id -> Varchar,
        #[max_length = 512]
        name -> Varchar,
        #[max_length = 32]
        language -> Varchar,
        #[max_length = 64]
        template_id -> Varchar,
        #[max_length = 64]
        status -> Varchar,
        #[max_length = 64]
        category -> Varchar,
        #[max_length = 64]
        sub_category -> Nullable<Varchar>,
        is_named -> Bool,
        components -> Nullable<Jsonb>,
        #[max_length = 32]
        quality -> Nullable<Varchar>,
        rejected_reason -> Nullable<Text>,
        status_reason -> Nullable<Text>,
        status_at -> Timestamptz,
        heard_at -> Timestamptz,
        paused_until -> Nullable<Timestamptz>,
        last_updated -> Nullable<Timestamptz>,
        synced_at -> Nullable<Timestamptz>,
        fetch_due -> Bool,
        gone_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    messages (message_id) {
        message_id -> Uuid,
        seq -> Int8,
        #[max_length = 255]
        tenant_id -> Varchar,
        conversation_id -> Uuid,
        #[max_length = 64]
        phone_number_id -> Varchar,
        #[max_length = 32]
        from_number -> Varchar,
        #[max_length = 160]
        recipient -> Varchar,
        #[sql_name = "type"]
        #[max_length = 32]
        type_ -> Varchar,
        content -> Jsonb,
        #[max_length = 255]
        reply_to -> Nullable<Varchar>,
        status -> Text,
        #[max_length = 255]
        wamid -> Nullable<Varchar>,
        attempts -> Int4,
        retries -> Int4,
        next_attempt_at -> Nullable<Timestamptz>,
        lease_until -> Nullable<Timestamptz>,
        unknown_since -> Nullable<Timestamptz>,
        error -> Nullable<Jsonb>,
        pricing -> Nullable<Jsonb>,
        sent_by_kind -> Text,
        sent_by -> Text,
        request_id -> Nullable<Text>,
        traceparent -> Nullable<Text>,
        expires_at -> Timestamptz,
        accepted_at -> Timestamptz,
        updated_at -> Timestamptz,
        send_class -> Text,
        send_at -> Nullable<Timestamptz>,
        possible_duplicate -> Bool,
        discarded_at -> Nullable<Timestamptz>,
        erased_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    outbox_events (event_id) {
        event_id -> Uuid,
        seq -> Int8,
        service -> Text,
        #[max_length = 255]
        tenant_id -> Varchar,
        exchange -> Text,
        routing_key -> Text,
        subject -> Text,
        payload -> Jsonb,
        traceparent -> Nullable<Text>,
        created_at -> Timestamptz,
        published_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    platform_admin_sessions (session_id) {
        session_id -> Uuid,
        admin_id -> Uuid,
        refresh_token_hash -> Bytea,
        previous_refresh_token_hash -> Nullable<Bytea>,
        rotated_at -> Timestamptz,
        #[max_length = 400]
        user_agent -> Nullable<Varchar>,
        created_at -> Timestamptz,
        last_used_at -> Timestamptz,
        idle_expires_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        revoke_reason -> Nullable<Text>,
    }
}

diesel::table! {
    platform_admins (admin_id) {
        admin_id -> Uuid,
        #[max_length = 320]
        email -> Varchar,
        #[max_length = 255]
        name -> Varchar,
        password_hash -> Text,
        is_active -> Bool,
        created_at -> Timestamptz,
        last_login_at -> Nullable<Timestamptz>,
        totp_secret -> Nullable<Bytea>,
        totp_confirmed_at -> Nullable<Timestamptz>,
        totp_last_step -> Nullable<Int8>,
        failed_logins -> Int4,
        locked_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    relay_leases (service) {
        service -> Text,
        holder -> Uuid,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    sending_holds (tenant_id, phone_number_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 64]
        phone_number_id -> Varchar,
        reason -> Text,
        error_code -> Nullable<Int8>,
        probes -> Int4,
        since -> Timestamptz,
        next_probe_at -> Timestamptz,
    }
}

diesel::table! {
    sending_numbers (tenant_id, phone_number_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 64]
        phone_number_id -> Varchar,
        tracked_since -> Nullable<Timestamptz>,
        messages_per_second -> Nullable<Int4>,
        quality_rating -> Nullable<Text>,
        messaging_limit -> Nullable<Text>,
        checked_at -> Nullable<Timestamptz>,
        last_status_at -> Nullable<Timestamptz>,
        last_inbound_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    sending_policies (tenant_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        window_policy -> Text,
        unknown_policy -> Text,
        unknown_horizon_seconds -> Nullable<Int4>,
        treat_5xx_as_unknown -> Bool,
        allow_raw -> Bool,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    signing_keys (kid) {
        kid -> Text,
        service -> Text,
        algorithm -> Text,
        public_key -> Bytea,
        private_key -> Bytea,
        status -> Text,
        created_at -> Timestamptz,
        retired_at -> Nullable<Timestamptz>,
        activates_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    template_syncs (tenant_id, waba_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 64]
        waba_id -> Varchar,
        version -> Int8,
        due_at -> Timestamptz,
        fetch_at -> Nullable<Timestamptz>,
        lease_until -> Nullable<Timestamptz>,
        started_at -> Nullable<Timestamptz>,
        read_so_far -> Int4,
        synced_at -> Nullable<Timestamptz>,
        total -> Int4,
        created -> Int4,
        updated -> Int4,
        removed -> Int4,
        failures -> Int4,
        error_class -> Nullable<Text>,
        error_code -> Nullable<Int8>,
    }
}

diesel::table! {
    tenant_api_keys (key_id) {
        key_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 255]
        name -> Varchar,
        #[max_length = 32]
        prefix -> Varchar,
        key_hash -> Bytea,
        scopes -> Array<Nullable<Text>>,
        created_by -> Text,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        #[max_length = 4]
        last4 -> Varchar,
        replaced_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    tenant_credentials (credential_id) {
        credential_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        kind -> Text,
        #[max_length = 64]
        region -> Varchar,
        #[max_length = 255]
        client_id -> Varchar,
        client_secret -> Nullable<Bytea>,
        #[max_length = 4]
        client_secret_last4 -> Nullable<Varchar>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        verified_at -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
    }
}

diesel::table! {
    tenant_role_mappings (mapping_id) {
        mapping_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 255]
        genesys_role -> Varchar,
        portal_role -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    tenant_whatsapp_config (config_id) {
        config_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 64]
        waba_id -> Varchar,
        #[max_length = 64]
        business_id -> Nullable<Varchar>,
        access_token -> Bytea,
        #[max_length = 4]
        access_token_last4 -> Varchar,
        #[max_length = 32]
        access_token_fingerprint -> Varchar,
        token_status -> Text,
        token_error_code -> Nullable<Int8>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        pin -> Nullable<Bytea>,
        token_expires_at -> Nullable<Timestamptz>,
        verified_at -> Nullable<Timestamptz>,
        token_checked_at -> Nullable<Timestamptz>,
        token_warned_days -> Nullable<Int2>,
    }
}

diesel::table! {
    tenant_whatsapp_numbers (tenant_id, phone_number_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 64]
        phone_number_id -> Varchar,
        config_id -> Uuid,
        #[max_length = 32]
        display_phone_number -> Varchar,
        is_default -> Bool,
        #[max_length = 16]
        quality_rating -> Nullable<Varchar>,
        #[max_length = 32]
        messaging_limit -> Nullable<Varchar>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        #[max_length = 255]
        verified_name -> Nullable<Varchar>,
    }
}

diesel::table! {
    tenants (tenant_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 255]
        name -> Varchar,
        status -> Text,
        #[max_length = 255]
        genesys_org_id -> Nullable<Varchar>,
        #[max_length = 64]
        genesys_region -> Nullable<Varchar>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        deleted_at -> Nullable<Timestamptz>,
        rate_limit -> Nullable<Int4>,
        allow_trustees -> Bool,
        unmapped_role -> Text,
        user_sync_minutes -> Nullable<Int4>,
    }
}

diesel::table! {
    token_checks (tenant_id, waba_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        #[max_length = 64]
        waba_id -> Varchar,
        status -> Text,
        error_code -> Nullable<Int8>,
        checked_at -> Nullable<Timestamptz>,
        due_at -> Timestamptz,
        lease_until -> Nullable<Timestamptz>,
        failures -> Int4,
    }
}

diesel::table! {
    unmatched_statuses (unmatched_id) {
        unmatched_id -> Uuid,
        digest -> Bytea,
        #[max_length = 255]
        signed_for -> Nullable<Varchar>,
        #[max_length = 64]
        phone_number_id -> Nullable<Varchar>,
        #[max_length = 255]
        wamid -> Varchar,
        payload -> Jsonb,
        state -> Text,
        attempts -> Int4,
        next_attempt_at -> Timestamptz,
        received_at -> Timestamptz,
    }
}

diesel::table! {
    user_presence (tenant_id, user_id) {
        #[max_length = 255]
        tenant_id -> Varchar,
        user_id -> Uuid,
        presence -> Text,
        since -> Timestamptz,
        seen_at -> Nullable<Timestamptz>,
        capacity -> Nullable<Int4>,
        last_given_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    user_sync_runs (run_id) {
        run_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        status -> Text,
        cause -> Text,
        requested_by -> Nullable<Text>,
        next_page -> Int4,
        pages -> Nullable<Int4>,
        total -> Nullable<Int4>,
        created -> Int4,
        updated -> Int4,
        deactivated -> Int4,
        skipped -> Int4,
        error_code -> Nullable<Text>,
        lease_until -> Nullable<Timestamptz>,
        started_at -> Timestamptz,
        updated_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    webhook_intake (intake_id) {
        intake_id -> Uuid,
        body_sha256 -> Bytea,
        body -> Bytea,
        state -> Text,
        attempts -> Int4,
        next_attempt_at -> Timestamptz,
        received_at -> Timestamptz,
        settled_at -> Nullable<Timestamptz>,
        traceparent -> Nullable<Text>,
        #[max_length = 255]
        signed_for -> Nullable<Varchar>,
    }
}

diesel::table! {
    webhook_secrets (secret_id) {
        secret_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        kind -> Text,
        secret -> Bytea,
        #[max_length = 32]
        fingerprint -> Varchar,
        valid_from -> Timestamptz,
        retires_at -> Nullable<Timestamptz>,
        created_by -> Text,
    }
}

diesel::table! {
    whatsapp_signups (signup_id) {
        signup_id -> Uuid,
        #[max_length = 255]
        tenant_id -> Varchar,
        status -> Text,
        #[max_length = 64]
        waba_id -> Varchar,
        #[max_length = 64]
        phone_number_id -> Nullable<Varchar>,
        #[max_length = 64]
        business_id -> Nullable<Varchar>,
        access_token -> Nullable<Bytea>,
        token_expires_at -> Nullable<Timestamptz>,
        pin -> Nullable<Bytea>,
        #[max_length = 32]
        test_recipient -> Nullable<Varchar>,
        lease_until -> Nullable<Timestamptz>,
        steps -> Jsonb,
        created_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::joinable!(account_notices -> tenants (tenant_id));
diesel::joinable!(contact_aliases -> tenants (tenant_id));
diesel::joinable!(contact_identities -> tenants (tenant_id));
diesel::joinable!(contact_links -> tenants (tenant_id));
diesel::joinable!(contact_preferences -> tenants (tenant_id));
diesel::joinable!(contact_windows -> tenants (tenant_id));
diesel::joinable!(conversation_messages -> tenants (tenant_id));
diesel::joinable!(conversation_settings -> tenants (tenant_id));
diesel::joinable!(conversation_threads -> tenants (tenant_id));
diesel::joinable!(conversation_words -> tenants (tenant_id));
diesel::joinable!(conversations -> tenants (tenant_id));
diesel::joinable!(dead_letters -> tenants (tenant_id));
diesel::joinable!(erased_messages -> tenants (tenant_id));
diesel::joinable!(erasures -> tenants (tenant_id));
diesel::joinable!(genesys_users -> tenants (tenant_id));
diesel::joinable!(inbound_messages -> tenants (tenant_id));
diesel::joinable!(live_events -> tenants (tenant_id));
diesel::joinable!(live_feeds -> tenants (tenant_id));
diesel::joinable!(media -> tenants (tenant_id));
diesel::joinable!(media_links -> tenants (tenant_id));
diesel::joinable!(message_templates -> tenants (tenant_id));
diesel::joinable!(messages -> tenants (tenant_id));
diesel::joinable!(platform_admin_sessions -> platform_admins (admin_id));
diesel::joinable!(sending_holds -> tenants (tenant_id));
diesel::joinable!(sending_numbers -> tenants (tenant_id));
diesel::joinable!(sending_policies -> tenants (tenant_id));
diesel::joinable!(template_syncs -> tenants (tenant_id));
diesel::joinable!(tenant_api_keys -> tenants (tenant_id));
diesel::joinable!(tenant_credentials -> tenants (tenant_id));
diesel::joinable!(tenant_role_mappings -> tenants (tenant_id));
diesel::joinable!(tenant_whatsapp_config -> tenants (tenant_id));
diesel::joinable!(tenant_whatsapp_numbers -> tenants (tenant_id));
diesel::joinable!(token_checks -> tenants (tenant_id));
diesel::joinable!(user_presence -> tenants (tenant_id));
diesel::joinable!(user_sync_runs -> tenants (tenant_id));
diesel::joinable!(webhook_secrets -> tenants (tenant_id));
diesel::joinable!(whatsapp_signups -> tenants (tenant_id));

diesel::allow_tables_to_appear_in_same_query!(
    account_notices,
    audit_chains,
    audit_log,
    contact_aliases,
    contact_identities,
    contact_links,
    contact_preferences,
    contact_windows,
    conversation_actions,
    conversation_assignments,
    conversation_messages,
    conversation_settings,
    conversation_threads,
    conversation_words,
    conversations,
    dead_letters,
    erased_messages,
    erasures,
    genesys_user_sessions,
    genesys_users,
    idempotency_keys,
    inbound_messages,
    inbox_events,
    live_events,
    live_feeds,
    media,
    media_chunks,
    media_links,
    media_uploads,
    message_attempts,
    message_status_events,
    message_templates,
    messages,
    outbox_events,
    platform_admin_sessions,
    platform_admins,
    relay_leases,
    sending_holds,
    sending_numbers,
    sending_policies,
    signing_keys,
    template_syncs,
    tenant_api_keys,
    tenant_credentials,
    tenant_role_mappings,
    tenant_whatsapp_config,
    tenant_whatsapp_numbers,
    tenants,
    token_checks,
    unmatched_statuses,
    user_presence,
    user_sync_runs,
    webhook_intake,
    webhook_secrets,
    whatsapp_signups,
);
