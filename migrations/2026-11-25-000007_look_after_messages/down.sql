REVOKE SELECT (tenant_id, unknown_horizon_seconds) ON sending_policies FROM delivery_sweeper;
DROP POLICY sweeper ON sending_policies;
