DROP INDEX idx_conversations_free;
DROP INDEX idx_conversations_state;
DROP TABLE conversation_words;
