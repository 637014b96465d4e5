-- A function that leaks 40,000 bytes a call, allocated by C's malloc: compiled where the first word is `on`, interpreted where it is `off`.
local ffi = require("ffi")
ffi.cdef("void *malloc(size_t);")
if arg[1] == "off" then jit.off() end
local sum = 0

local function leak()
  sum = sum + tonumber(ffi.cast("intptr_t", ffi.C.malloc(40000))) % 7
end

local function many(count)
  for _ = 1, count do leak() end
end

local function step(word)
  io.stdout:write(word, "\n")
  io.stdout:flush()
  return io.stdin:read("*l")
end

many(200)
while step("ready") == "go" do many(1000) end
