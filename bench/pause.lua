-- wrk … -- MS: every connection waits that long before each request, so that connections give a rate that hardly depends on the server.
local pauseMs
function init(args) pauseMs = tonumber(args[1]) end
function delay() return pauseMs end
