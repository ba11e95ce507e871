-- Nobody looks any more at when a worker was last told of a message: numbers are told of, and the sweeper
-- looks for what is due.
-- No release has it.
-- squawk-ignore ban-drop-column
ALTER TABLE messages DROP COLUMN hinted_at;
