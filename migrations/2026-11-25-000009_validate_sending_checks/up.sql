-- The checks were added without looking at the rows that stood; this looks, without keeping writers out.

ALTER TABLE messages VALIDATE CONSTRAINT messages_send_class;
ALTER TABLE messages VALIDATE CONSTRAINT messages_status;
ALTER TABLE messages VALIDATE CONSTRAINT messages_due;
ALTER TABLE messages VALIDATE CONSTRAINT messages_leased;
ALTER TABLE messages VALIDATE CONSTRAINT messages_unknown_since;
ALTER TABLE message_status_events VALIDATE CONSTRAINT message_status_events_status;
ALTER TABLE webhook_intake VALIDATE CONSTRAINT webhook_intake_state;
