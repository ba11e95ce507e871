-- What those who look after messages need: how long a tenant lets an outcome be unknown.

---------------------------------------------------------------------------------------------------
-- The sweeper gives a message up after its tenant's horizon.

CREATE POLICY sweeper ON sending_policies FOR SELECT TO delivery_sweeper USING (true);
GRANT SELECT (tenant_id, unknown_horizon_seconds) ON sending_policies TO delivery_sweeper;
