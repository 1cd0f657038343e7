// Before Azurite's Blob service starts: an append blob takes three blocks instead of 50,000, so that a test may see it full.
const { dirname, join } = require("node:path");

require(join(dirname(process.argv[1]), "utils", "constants")).MAX_APPEND_BLOB_BLOCK_COUNT = 3;
