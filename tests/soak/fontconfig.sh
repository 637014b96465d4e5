# fontconfig: all fonts are scanned and listed
# for: FreeType, XML, mapped caches
# needs: fc-scan fc-list
# program: fc-list
cd "$1" || exit 98
export HOME=$PWD XDG_CACHE_HOME=$PWD/c; fc-list : family | sort | md5sum; fc-list : file | wc -l
