DROP TABLE media_links;
DROP TABLE media_uploads;
DROP TABLE media_chunks;
DROP TABLE media;
