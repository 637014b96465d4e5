// What the symbolizer is asked for; the comments at line ends are how the tests find the lines.
#include <vector>

struct Cache {
    std::vector<int> values;
    void fill(int count);
};

__attribute__((noinline)) void Cache::fill(int count)
{
    values.reserve(count); // the reserve
}

template <typename T> struct Stack {
    T *values;
    __attribute__((noinline)) void push(T value)
    {
        values = new T[value];
    }
};

namespace {
__attribute__((noinline)) int *hidden(int count)
{
    return new int[count];
}
}

int main(int argc, char **)
{
    Cache cache;
    cache.fill(argc * 100);
    Stack<int> stack;
    stack.push(argc);
    return hidden(argc)[0] + stack.values[0];
}
