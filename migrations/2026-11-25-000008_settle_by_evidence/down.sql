REVOKE SELECT (last_status_at, last_inbound_at) ON sending_numbers FROM delivery_sweeper;
