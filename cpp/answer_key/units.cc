#include "answer_key/units.h"

#include <algorithm>
#include <iterator>

namespace stepscore {
namespace {

struct Unit {
  std::string_view word, name;
};

// Sorted by word.
// clang-format off
constexpr Unit kUnits[] = {
    {"EUR", "euro"}, {"Hz", "Hz"}, {"J", "joule"}, {"L", "liter"}, {"N", "newton"},
    {"USD", "dollar"}, {"V", "volt"}, {"W", "watt"}, {"acre", "acre"}, {"acres", "acre"},
    {"apple", "apple"}, {"apples", "apple"}, {"bag", "bag"}, {"bags", "bag"}, {"ball", "ball"},
    {"balls", "ball"}, {"bird", "bird"}, {"birds", "bird"}, {"book", "book"}, {"books", "book"},
    {"bottle", "bottle"}, {"bottles", "bottle"}, {"box", "box"}, {"boxes", "box"}, {"boy", "boy"},
    {"boys", "boy"}, {"cake", "cake"}, {"cakes", "cake"}, {"calorie", "calorie"},
    {"calories", "calorie"}, {"candies", "candy"}, {"candy", "candy"}, {"car", "car"},
    {"card", "card"}, {"cards", "card"}, {"cars", "car"}, {"case", "case"}, {"cases", "case"},
    {"cat", "cat"}, {"cats", "cat"}, {"cent", "cent"}, {"centimeter", "cm"}, {"centimeters", "cm"},
    {"centimetre", "cm"}, {"centimetres", "cm"}, {"cents", "cent"}, {"chair", "chair"},
    {"chairs", "chair"}, {"chicken", "chicken"}, {"chickens", "chicken"}, {"child", "child"},
    {"children", "child"}, {"class", "class"}, {"classes", "class"}, {"cm", "cm"}, {"coin", "coin"},
    {"coins", "coin"}, {"cookie", "cookie"}, {"cookies", "cookie"}, {"cow", "cow"}, {"cows", "cow"},
    {"cup", "cup"}, {"cups", "cup"}, {"day", "day"}, {"days", "day"}, {"deg", "degree"},
    {"degree", "degree"}, {"degrees", "degree"}, {"digit", "digit"}, {"digits", "digit"},
    {"dog", "dog"}, {"dogs", "dog"}, {"dollar", "dollar"}, {"dollars", "dollar"}, {"edge", "edge"},
    {"edges", "edge"}, {"egg", "egg"}, {"eggs", "egg"}, {"euro", "euro"}, {"euros", "euro"},
    {"feet", "foot"}, {"fish", "fish"}, {"flower", "flower"}, {"flowers", "flower"},
    {"foot", "foot"}, {"friend", "friend"}, {"friends", "friend"}, {"ft", "foot"}, {"g", "gram"},
    {"gallon", "gallon"}, {"gallons", "gallon"}, {"game", "game"}, {"games", "game"},
    {"girl", "girl"}, {"girls", "girl"}, {"gram", "gram"}, {"grams", "gram"}, {"h", "hour"},
    {"hertz", "Hz"}, {"hour", "hour"}, {"hours", "hour"}, {"house", "house"}, {"houses", "house"},
    {"hr", "hour"}, {"hrs", "hour"}, {"in", "inch"}, {"inch", "inch"}, {"inches", "inch"},
    {"integer", "integer"}, {"integers", "integer"}, {"item", "item"}, {"items", "item"},
    {"joule", "joule"}, {"joules", "joule"}, {"kg", "kg"}, {"kilogram", "kg"}, {"kilograms", "kg"},
    {"kilometer", "km"}, {"kilometers", "km"}, {"kilometre", "km"}, {"kilometres", "km"},
    {"km", "km"}, {"lb", "pound"}, {"lbs", "pound"}, {"lesson", "lesson"}, {"lessons", "lesson"},
    {"letter", "letter"}, {"letters", "letter"}, {"liter", "liter"}, {"liters", "liter"},
    {"litre", "liter"}, {"litres", "liter"}, {"m", "meter"}, {"mL", "ml"}, {"man", "man"},
    {"marble", "marble"}, {"marbles", "marble"}, {"mark", "mark"}, {"marks", "mark"},
    {"men", "man"}, {"meter", "meter"}, {"meters", "meter"}, {"metre", "meter"},
    {"metres", "meter"}, {"mg", "milligram"}, {"mi", "mile"}, {"mile", "mile"}, {"miles", "mile"},
    {"milligram", "milligram"}, {"milligrams", "milligram"}, {"milliliter", "ml"},
    {"milliliters", "ml"}, {"millilitre", "ml"}, {"millilitres", "ml"}, {"millimeter", "mm"},
    {"millimeters", "mm"}, {"millimetre", "mm"}, {"millimetres", "mm"}, {"min", "minute"},
    {"mins", "minute"}, {"minute", "minute"}, {"minutes", "minute"}, {"ml", "ml"}, {"mm", "mm"},
    {"month", "month"}, {"months", "month"}, {"mph", "mph"}, {"newton", "newton"},
    {"newtons", "newton"}, {"orange", "orange"}, {"oranges", "orange"}, {"ounce", "ounce"},
    {"ounces", "ounce"}, {"outcome", "outcome"}, {"outcomes", "outcome"}, {"oz", "ounce"},
    {"page", "page"}, {"pages", "page"}, {"pen", "pen"}, {"pencil", "pencil"},
    {"pencils", "pencil"}, {"pens", "pen"}, {"people", "person"}, {"person", "person"},
    {"persons", "person"}, {"piece", "piece"}, {"pieces", "piece"}, {"pint", "pint"},
    {"pints", "pint"}, {"pizza", "pizza"}, {"pizzas", "pizza"}, {"player", "player"},
    {"players", "player"}, {"point", "point"}, {"points", "point"}, {"pound", "pound"},
    {"pounds", "pound"}, {"quart", "quart"}, {"quarts", "quart"}, {"rad", "radian"},
    {"radian", "radian"}, {"radians", "radian"}, {"room", "room"}, {"rooms", "room"},
    {"row", "row"}, {"rows", "row"}, {"rupee", "rupee"}, {"rupees", "rupee"}, {"s", "second"},
    {"sec", "second"}, {"second", "second"}, {"seconds", "second"}, {"secs", "second"},
    {"shirt", "shirt"}, {"shirts", "shirt"}, {"shoe", "shoe"}, {"shoes", "shoe"}, {"side", "side"},
    {"sides", "side"}, {"slice", "slice"}, {"slices", "slice"}, {"solution", "solution"},
    {"solutions", "solution"}, {"step", "step"}, {"steps", "step"}, {"student", "student"},
    {"students", "student"}, {"table", "table"}, {"tables", "table"}, {"team", "team"},
    {"teams", "team"}, {"ticket", "ticket"}, {"tickets", "ticket"}, {"ton", "ton"}, {"tons", "ton"},
    {"toy", "toy"}, {"toys", "toy"}, {"tree", "tree"}, {"trees", "tree"}, {"triangle", "triangle"},
    {"triangles", "triangle"}, {"trip", "trip"}, {"trips", "trip"}, {"unit", "unit"},
    {"units", "unit"}, {"volt", "volt"}, {"volts", "volt"}, {"vote", "vote"}, {"votes", "vote"},
    {"watt", "watt"}, {"watts", "watt"}, {"way", "way"}, {"ways", "way"}, {"week", "week"},
    {"weeks", "week"}, {"woman", "woman"}, {"women", "woman"}, {"word", "word"}, {"words", "word"},
    {"worker", "worker"}, {"workers", "worker"}, {"yard", "yard"}, {"yards", "yard"},
    {"yd", "yard"}, {"year", "year"}, {"years", "year"}, {"yen", "yen"},
};
// clang-format on
static_assert(std::ranges::is_sorted(kUnits, {}, &Unit::word));

}  // namespace

std::string_view unit_name(std::string_view word) {
  const Unit* found = std::ranges::lower_bound(kUnits, word, {}, &Unit::word);
  return found != std::end(kUnits) && found->word == word ? found->name : std::string_view{};
}

}  // namespace stepscore
