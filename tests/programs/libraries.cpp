//! C++: what libraries take that are mostly headers, and Qt, is charged to the program's line.
#include "step.h"
#include <Eigen/Dense>
#include <QHash>
#include <QMap>
#include <QSharedPointer>
#include <QString>
#include <QStringList>
#include <QVariant>
#include <QVector>
#include <absl/container/flat_hash_map.h>
#include <absl/container/inlined_vector.h>
#include <absl/strings/str_cat.h>
#include <boost/container/flat_map.hpp>
#include <boost/function.hpp>
#include <boost/make_shared.hpp>
#include <boost/multi_index/ordered_index.hpp>
#include <boost/multi_index_container.hpp>
#include <boost/property_tree/ptree.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <rapidjson/document.h>

static void *volatile kept;
static volatile int many = 1009;

template <class T> static T *keep(T *thing) {
  kept = thing;
  return thing;
}

struct Entry {
  int key;
  char name[60];
};

static void boosts() {
  auto *shared = keep(new boost::shared_ptr<Entry>); // row: growth=16/1
  *shared = boost::make_shared<Entry>(); // row: growth=96/1 via=boost::make_shared
  auto *map = keep(new boost::container::flat_map<int, int>); // row: growth=24/1
  (*map)[7] = 8; // row: growth=8/1 via=boost::container::flat_map::operator[]
  auto *call = keep(new boost::function<int()>); // row: growth=32/1
  Entry large = {7, {}};
  *call = [large] { return large.key; }; // row: growth=64/1
  using Table = boost::multi_index_container<int>;
  auto *table = keep(new Table); // row:
  table->insert(7); // row: via=boost::multi_index::detail::ordered_index_impl::insert
  auto *tree = keep(new boost::property_tree::ptree); // row:
  tree->put("a.b", 7); // row:
}

static void abseil() {
  auto *map = keep(new absl::flat_hash_map<int, int>); // row: growth=40/1
  for (int at = 0; at < 100; at++)
    (*map)[at] = 8; // row:
  auto *vector = keep(new absl::InlinedVector<int, 4>); // row: growth=24/1
  for (int at = 0; at < 9; at++)
    vector->push_back(at); // row: growth=64/1 via=absl::InlinedVector::push_back
  auto *text = keep(new std::string); // row: growth=32/1
  *text = absl::StrCat("a word of some length that is ", many); // row: growth=35/1 via=absl::StrCat
}

static void texts() {
  auto *text = keep(new std::string); // row: growth=32/1
  *text = fmt::format("{:>200}", many); // row: growth=201/1 via=fmt::format
  auto *json = keep(new nlohmann::json); // row: growth=16/1
  (*json)["a"] = {1, 2, 3}; // row: growth=0/0
  *json = nlohmann::json::parse("{\"a\": [1, {\"b\": null}]}"); // row:
  auto *document = keep(new rapidjson::Document); // row:
  document->Parse("[1, {\"a\": \"b\"}]"); // row:
  auto *matrix = keep(new Eigen::MatrixXd); // row: growth=24/1
  matrix->resize(many, 3); // row: growth=24216/1
}

static void qt() {
  auto *vector = keep(new QVector<int>); // row: growth=8/1
  for (int at = 0; at < 100; at++)
    vector->append(at); // row: via=QVector::append
  auto *hash = keep(new QHash<int, int>); // row: growth=8/1
  hash->insert(7, 8); // row: via=QHash::insert
  auto *map = keep(new QMap<int, int>); // row: growth=8/1
  map->insert(7, 8); // row: via=QMap::insert
  auto *string = keep(new QString); // row: growth=8/1
  *string = QString::number(many) + QStringLiteral("of mine"); // row:
  auto *list = keep(new QStringList); // row: growth=8/1
  *list << *string << QString("words"); // row:
  auto *shared = keep(new QSharedPointer<Entry>(new Entry)); // row: growth=104/3
  kept = shared;
  auto *variant = keep(new QVariant(*list)); // row:
  kept = variant;
}

int main() {
  step("warm");
  boosts();
  abseil();
  texts();
  qt();
  step("done");
}
