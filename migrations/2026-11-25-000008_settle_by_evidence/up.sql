-- An outcome that stays unknown is given up only while webhooks of its number are seen to arrive.

GRANT SELECT (last_status_at, last_inbound_at) ON sending_numbers TO delivery_sweeper;
