-- A check that was validated stays one: there is nothing to take back.
SELECT 1;
