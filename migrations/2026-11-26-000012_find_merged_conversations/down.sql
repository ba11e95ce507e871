DROP INDEX idx_conversations_merged;
